"""Numbers, names and widths as people read them. Standard library only."""
