"""The probes: one kind of measurement per file, straight-line code that asks for what it wants."""
