"""What several tests share: makers of small inputs."""
