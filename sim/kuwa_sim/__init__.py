"""The simulated world: plants, hydraulics, soil, scenarios and the simulated robot."""
