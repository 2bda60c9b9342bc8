"""The command sway."""
