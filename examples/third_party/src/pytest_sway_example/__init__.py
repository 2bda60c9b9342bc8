"""A plugin of pytest-sway: a kind of probe, a backend and a report of one's own."""
