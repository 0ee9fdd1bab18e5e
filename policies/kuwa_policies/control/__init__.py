"""From a reference to valve commands."""
