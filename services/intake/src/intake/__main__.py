"""`python -m intake` serves; `python -m intake migrate` brings the database to its newest revision."""

import sys

from chassis.command_line import run_command

if __name__ == "__main__":
    sys.exit(run_command("intake", sys.argv[1:]))
