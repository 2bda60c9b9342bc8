"""Where a model computes: placement, threads, memory, determinism."""
