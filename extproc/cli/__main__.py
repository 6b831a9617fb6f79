"""`python -m extproc.cli`: the same as `headgate`."""

from extproc.cli.main import main

if __name__ == "__main__":
    main()
