"""The operator's sticks without ROS: shaping, devices, when they may move anything, who drives."""
