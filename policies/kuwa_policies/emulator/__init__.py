"""Loihi-style spiking networks in integers, in profiles that are exact to a reference each."""
