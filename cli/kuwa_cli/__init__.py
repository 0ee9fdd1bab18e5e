"""The kuwa command: one verb per thing a person does."""
