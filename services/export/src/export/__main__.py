"""`python -m export` serves; `python -m export migrate` brings the database to the newest revision."""

import sys


def main(arguments: list[str]) -> int:
    """Run one of the two; returns the exit status."""
    match arguments:
        case []:
            from export.app import serve

            serve()
        case ["migrate"]:
            from chassis.migrations import upgrade
            from chassis.settings import MigrationSettings, load

            upgrade("export", load(MigrationSettings))
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
