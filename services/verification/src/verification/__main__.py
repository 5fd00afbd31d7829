"""`python -m verification` serves; `python -m verification migrate` brings the database to its newest revision."""

import sys

from chassis.command_line import run_command

if __name__ == "__main__":
    sys.exit(run_command("verification", sys.argv[1:]))
