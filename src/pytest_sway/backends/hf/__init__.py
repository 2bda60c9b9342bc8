"""transformers + PEFT: one model in memory, base, adapter and nulls served from it."""
