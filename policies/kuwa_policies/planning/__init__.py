"""From a task and the terrain to joint trajectories."""
