"""What holds for every test."""

import gc
import os

import pytest
from hypothesis import settings

# A deadline measures the machine: on a busy one any test misses it now and then. Examples are others in
# every run, so few in each are many over the days; `make test-deep` looks longer.
settings.register_profile("headgate", deadline=None, max_examples=25)
settings.register_profile("deep", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "headgate"))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Thousands of tests are collected, and all of them stay: looking through them for garbage, again and
    again, takes a third of the collection."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
