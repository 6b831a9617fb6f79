"""Engines: the servers that generate tokens, behind the gateway; each kind lives in its own package."""
