"""The gate's arithmetic, compiled: what every step computes within microseconds.

They are in a folder of their own because numba freezes constants of other modules into its code: a
change in any of these throws all of them away.
"""
