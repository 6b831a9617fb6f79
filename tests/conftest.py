"""What holds for every test."""

import gc
import os

import pyarrow as pa  # noqa: F401 - before usearch 2.26, or pyarrow 26 crashes; no process of ours has both
import pytest
from hypothesis import settings

# A deadline measures the machine: on a busy one any test misses it now and then. Examples are the same in
# every run, so that a change fails for what it changes; `make test-deep` looks for new ones, and longer.
settings.register_profile("headgate", deadline=None, max_examples=25, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=1000, derandomize=False)
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
