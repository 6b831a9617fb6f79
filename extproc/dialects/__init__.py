"""The only place that knows what bodies look like: one file for each API that clients speak."""
