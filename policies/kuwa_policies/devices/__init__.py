"""What analogue hardware does to a network, as data, and how to live with it.

A :class:`~kuwa_policies.devices.device.Device` holds a network's weights wrongly, its thresholds
and time constants spread, and it changes while it runs; docs/explanation/devices.md says how.
"""
