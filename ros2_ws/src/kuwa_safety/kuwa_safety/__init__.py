"""The safety node: the gate, sole writer of applied commands."""
