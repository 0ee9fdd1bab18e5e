"""Demonstrations at scale: the expert at the levers of machines, soils and days that differ."""
