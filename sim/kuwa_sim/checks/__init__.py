"""Self-checks of the soil: its forces against published values, its volume under random strokes."""
