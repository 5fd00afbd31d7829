"""`python -m export` serves; `python -m export migrate` brings the database to its newest revision."""

import sys

from chassis.command_line import run_command

if __name__ == "__main__":
    sys.exit(run_command("export", sys.argv[1:]))
