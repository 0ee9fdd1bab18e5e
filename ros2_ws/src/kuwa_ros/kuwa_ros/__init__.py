"""What every Kuwa node shares: topic contracts, conversions, lifecycle base, loops, parameters."""
