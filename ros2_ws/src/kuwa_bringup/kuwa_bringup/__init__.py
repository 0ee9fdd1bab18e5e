"""The stack as data, and what starts and supervises it."""
