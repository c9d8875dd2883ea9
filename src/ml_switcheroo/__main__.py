"""The entry point: ``ml-switcheroo`` and ``python -m ml_switcheroo``."""

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    # Until that is imported which can say what was interrupted, Ctrl-C ends without a word.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ml_switcheroo.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
