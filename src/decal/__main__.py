"""`python -m decal` is the `decal` command."""

from decal.cli import main

if __name__ == "__main__":
    main()
