from dataplane.errors import ConfigError
from dataplane.gateway import ConfigError as ByItsOldName


def test_there_is_one_of_it():
    assert ByItsOldName is ConfigError
    assert issubclass(ConfigError, ValueError)  # what pydantic turns into a mistake with its place
