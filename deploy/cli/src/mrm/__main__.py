"""Entry point of the operator's command."""

import sys

from mrm.app import run


def main() -> None:
    """Run `mrm` and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
