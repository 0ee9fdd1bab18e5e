"""The control node: from a trajectory or a velocity reference to valve requests."""
