"""Planning, control and everything that learns; free of ROS and of the simulator."""
