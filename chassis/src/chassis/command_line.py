"""What `python -m <service>` does: serve, or bring the service's database to its newest revision."""

import sys
from importlib import import_module


def run_command(service: str, arguments: list[str]) -> int:
    """Serve without an argument, migrate with `migrate`; returns the exit status: 1 if the database was changed, 2 for anything else.

    The service's own code is loaded only to serve: migrating takes the owner role's settings and nothing more.
    """
    match arguments:
        case []:
            import_module(f"{service}.app").serve()
        case ["migrate"] | ["migrate", "--accept-changes"]:
            from chassis.catalog import ChangedDatabaseError
            from chassis.migrations import upgrade
            from chassis.settings import MigrationSettings, load

            try:
                upgrade(service, load(MigrationSettings), accept_changes=len(arguments) > 1)
            except ChangedDatabaseError as changed:
                sys.stderr.write(f"{changed}\n")
                return 1
        case _:
            sys.stderr.write(f"usage: python -m {service} [migrate [--accept-changes]]\n")
            return 2
    return 0
