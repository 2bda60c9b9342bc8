"""The adapter's folder: its config, the names and layouts of its tensors, the base that it names."""
