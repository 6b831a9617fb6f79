"""What may be wrong with a configuration."""


class ConfigError(ValueError):
    """The data plane cannot run with this configuration. The message is for the operator."""
