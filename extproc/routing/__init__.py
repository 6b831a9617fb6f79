"""Choices, as pure functions: which version of a model serves a request."""
