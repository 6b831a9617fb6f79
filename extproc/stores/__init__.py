"""What implements `ports`: in memory for tests, and the real ones."""
