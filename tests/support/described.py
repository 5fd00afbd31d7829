"""Runs Schemathesis several times in one process, which saves most of its start: `python described.py` reads runs from stdin.

Each run is a name and the arguments of `schemathesis`; the names of those that failed are the last line, as JSON.
"""

import json
import sys

from schemathesis.cli import schemathesis


def main() -> None:
    """Do one run after the other; a failed one does not end the others."""
    failed = []
    for name, arguments in json.load(sys.stdin):
        sys.stdout.write(f"=== {name}\n")
        try:
            schemathesis.main(arguments, standalone_mode=False)
        except SystemExit as ended:
            if ended.code:
                failed.append(name)
    sys.stdout.write(f"{json.dumps(failed)}\n")


if __name__ == "__main__":
    main()
