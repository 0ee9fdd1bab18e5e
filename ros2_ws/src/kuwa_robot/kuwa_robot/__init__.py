"""The robot node: wraps a robot, simulated or real, in topics."""
