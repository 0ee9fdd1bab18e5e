"""The operator: sticks into velocity references, and the page in a browser."""
