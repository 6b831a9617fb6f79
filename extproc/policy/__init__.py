"""Policy: what operators write in YAML, typed, strict, and swapped whole."""
