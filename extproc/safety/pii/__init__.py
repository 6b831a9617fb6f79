"""Personal data in texts: where it stands, what it is, and what stands there instead."""
