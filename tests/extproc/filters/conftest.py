"""Filters that keep something are tried with a real server too."""

from tests.extproc.stores.conftest import valkey, valkey_server

__all__ = ["valkey", "valkey_server"]
