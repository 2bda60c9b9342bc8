"""What connects to other programs."""
