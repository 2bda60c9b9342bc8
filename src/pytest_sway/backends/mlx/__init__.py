"""Serves models with Apple's MLX, in process: on Apple silicon, and on Linux CPUs."""
