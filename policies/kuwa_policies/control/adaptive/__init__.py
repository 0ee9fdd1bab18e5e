"""Controllers that learn what their machine does beyond its data file, while they work."""
