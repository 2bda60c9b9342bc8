"""How an adapter is attached to the base: LoRA factors beside the weights, or changed weights."""
