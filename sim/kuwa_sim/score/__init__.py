"""What a run was worth: figures by name, and whether they keep to the scenario's bounds."""
