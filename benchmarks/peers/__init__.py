"""Other simulators, each run in its own interpreter."""
