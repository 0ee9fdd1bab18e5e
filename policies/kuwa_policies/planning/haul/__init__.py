"""Hauling with a tipping body: wait for the load, drive the way, tip at its end, come back."""
