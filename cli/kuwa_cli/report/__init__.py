"""The report of a run: one HTML file with film, pictures and figures, and the numbers as JSON."""
