"""The `headgate` command: one file for each subcommand, `main.py` lists them."""
