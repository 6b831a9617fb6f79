"""What holds for every test."""

from hypothesis import settings

# A deadline measures the machine: on a busy one any test misses it now and then.
settings.register_profile("headgate", deadline=None)
settings.load_profile("headgate")
