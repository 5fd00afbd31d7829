"""`python -m verification` serves; `python -m verification migrate` brings the database to its newest shape."""

import sys

USAGE = "usage: python -m verification [migrate]"


def main(arguments: list[str]) -> int:
    """Run the command and return the exit status."""
    match arguments:
        case []:
            from verification.app import serve

            serve()
        case ["migrate"]:
            from chassis.migrations import upgrade
            from chassis.settings import MigrationSettings, load

            upgrade("verification", load(MigrationSettings))
        case _:
            sys.stderr.write(USAGE + "\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
