"""kind: mlx."""
