"""The record node: every topic into a bag, and episodes into training sets."""
