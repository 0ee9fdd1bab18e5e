"""Drivers behind the Robot protocol, the gate's rules and the watchdogs."""
