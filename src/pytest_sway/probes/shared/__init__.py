"""What several kinds of probe use."""
