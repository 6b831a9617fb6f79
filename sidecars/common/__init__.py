"""What every sidecar needs."""
