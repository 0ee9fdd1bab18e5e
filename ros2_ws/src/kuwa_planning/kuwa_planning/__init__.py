"""The planning node: from the task and the terrain to joint trajectories."""
