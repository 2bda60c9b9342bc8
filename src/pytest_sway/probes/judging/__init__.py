"""How a measurement becomes a verdict: one rule a file."""
