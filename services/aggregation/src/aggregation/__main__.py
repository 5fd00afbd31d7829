"""`python -m aggregation` serves; `python -m aggregation migrate` brings the database to its newest revision."""

import sys

from chassis.command_line import run_command

if __name__ == "__main__":
    sys.exit(run_command("aggregation", sys.argv[1:]))
