"""Safety and privacy: what must not leave, what must not come in, and what must not be said."""
