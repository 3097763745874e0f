"""``python -m compose``: the command line, without an installed script."""

from compose.cli import main

if __name__ == "__main__":
    main()
