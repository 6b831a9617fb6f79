"""Engines: the servers that generate tokens, behind the gateway; `base.py` lists the kinds there are."""
