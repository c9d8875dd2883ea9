"""The entry point: ``ml-switcheroo`` and ``python -m ml_switcheroo``."""

from ml_switcheroo.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
