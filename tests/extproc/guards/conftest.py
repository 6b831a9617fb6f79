"""The Valkey that tests of stores share."""

from tests.extproc.stores.conftest import valkey, valkey_server

__all__ = ["valkey", "valkey_server"]
