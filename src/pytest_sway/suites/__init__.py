"""Rules about results: composite, gate, null summary, comparison, saved results. Standard library only."""
