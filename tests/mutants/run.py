"""Plants one fault after the other in a copy of aggregation and runs its property tests on it: every fault must be found.

The tests run on an unchanged copy first and must pass there; else what they say of a fault is worth nothing. A fault is found by a
test that fails, not by one that cannot be run.

make mutants            # all of them
python tests/mutants/run.py NAME…
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "services" / "aggregation" / "src"
SUITES = (
    ["tests/unit/aggregation"],
    ["tests/integration/test_aggregation_histories.py"],
    ["tests/integration/test_aggregation_contributors.py"],
)
"""Tried in this order until one finds the fault."""


@dataclass(frozen=True)
class Mutant:
    """A fault: in `file` the text `right` becomes `wrong`."""

    name: str
    file: str
    right: str
    wrong: str


MUTANTS = [
    Mutant(
        "the window's last day is the next one's first",
        "store/figures.py",
        "decided_on >= $3 and decided_on < $4",
        "decided_on >= $3 and decided_on <= $4",
    ),
    Mutant(
        "late by the start of the incident",
        "domain/incident.py",
        "late_by_quarter(ended_on=ended_on,",
        "late_by_quarter(ended_on=coded.occurred_from,",
    ),
    Mutant("quarters begin a month early", "domain/periods.py", "(day.month - 1) // 3", "day.month // 3"),
    Mutant("late by the window includes its first day", "store/figures.py", "else ended_on < $3 end", "else ended_on <= $3 end"),
    Mutant("late is always inside", "domain/counting.py", "(self.late_inside or not cell.late)", "(self.late_inside or True)"),
    Mutant("late is never inside", "domain/counting.py", "(self.late_inside or not cell.late)", "not cell.late"),
    Mutant(
        "a party twice", "domain/incident.py", "return tuple(sorted(lines)) if entries", "return tuple(sorted([*lines, *lines])) if entries"
    ),
    Mutant("no line for what is joint", "domain/incident.py", '    Attribution.JOINT: "_joint",\n', ""),
    Mutant(
        "an empty attribution list is none",
        "domain/incident.py",
        "if decision is not None and decision.attribution is not None:",
        "if decision is not None and decision.attribution:",
    ),
    Mutant("a duplicate still counts", "domain/incident.py", "if violation.key in incident.suppressed:", "if violation.key in ():"),
    Mutant(
        "a link to what is gone still hides",
        "bookkeeping.py",
        "for link, present in self._links[name].items() if present}",
        "for link in self._links[name]}",
    ),
    Mutant(
        "nobody wakes a link",
        "bookkeeping.py",
        "self._keep(link, present=link.of_violation in keys)",
        "self._keep(link, present=self._links[link.incident][link])",
    ),
    Mutant("a child twice", "domain/children.py", "if one in present and other in present:", "if False:"),
    Mutant("an idle link between children joins", "domain/children.py", "if one in present and other in present:", "if True:"),
    Mutant(
        "sex of the first record",
        "domain/children.py",
        "return known.pop() if len(known) == 1 else Sex.UNKNOWN",
        "return known.pop() if known else Sex.UNKNOWN",
    ),
    Mutant(
        "the highest age", "domain/children.py", "return min((part.age for part in suffered", "return max((part.age for part in suffered"
    ),
    Mutant("listed children again in the rest of the tally", "domain/incident.py", "beyond=tally.beyond(linked)", "beyond=tally"),
    Mutant("the superseded is not reversed", "bookkeeping.py", "(before.without(case.rows), -1)", "(Rows(), -1)"),
    Mutant("what was reversed still stands", "bookkeeping.py", "changes.fallen.add(posting.violation)", "pass"),
    Mutant("what stands is out of date", "store/books.py", "for position, row in changes.risen.values()]", "for position, row in ()]"),
    Mutant(
        "as of one entry too late",
        "store/standing.py",
        "select (-sign)::smallint, {_POSTED} > $2",
        "select (-sign)::smallint, {_POSTED} > $2 + 1",
    ),
    Mutant("as of one entry too late, far back", "store/standing.py", "select sign, {_POSTED} <= $2", "select sign, {_POSTED} <= $2 + 1"),
    Mutant("children as of one entry too late", "store/figures.py", "{_VERIFIED} and position <= $2", "{_VERIFIED} and position <= $2 + 1"),
    Mutant("what came since is added, not taken back", "store/standing.py", "(-sign)::smallint", "sign"),
    Mutant(
        "an ongoing report must have begun before the window",
        "store/figures.py",
        "(ended_on is null and occurred_from < $4)",
        "(ended_on is null and occurred_from < $3)",
    ),
    Mutant(
        "military use in the totals",
        "domain/counting.py",
        "for cell in self.cells if cell.type in COUNTED_TYPES and (self",
        "for cell in self.cells if (self",
    ),
    Mutant(
        "what could not be verified counts nowhere",
        "domain/incident.py",
        "Status.NOT_VERIFIED: Standing.UNVERIFIED",
        "Status.NOT_VERIFIED: None",
    ),
    Mutant(
        "a verified ongoing incident has no end",
        "domain/incident.py",
        "ended_on = decided_on if verified and coded.ended_on is None else coded.ended_on",
        "ended_on = coded.ended_on if coded.ended_on else coded.occurred_from",
    ),
    Mutant("two violations make no multiple", "domain/children.py", "if len(types) < 2:", "if len(types) < 3:"),
    Mutant(
        "a region is the place itself",
        "handlers.py",
        "regions[place.code] = place.code if place.level == 1 else above",
        "regions[place.code] = place.code",
    ),
    Mutant(
        "a contributor's share is its tally", "domain/contributors.py", "known[cell] = _share(", "known[cell] = cell.tally.total or _share("
    ),
    Mutant(
        "nothing protects what is small",
        "domain/disclosure.py",
        "self._left_out.setdefault(other, Reason.WITHHELD if",
        "proven.add(other) if other else self._left_out.setdefault(other, Reason.WITHHELD if",
    ),
    Mutant(
        "the largest small number is shared",
        "domain/disclosure.py",
        "(abs(linked.values[name]) < k or",
        "(abs(linked.values[name]) < k - 1 or",
    ),
    Mutant("a value too few is possible", "domain/directions.py", "linked, steps=k - 1)", "linked, steps=k - 2)"),
    Mutant(
        "what is left out may be a zero",
        "domain/directions.py",
        "else linked.values[name] - 1 for name",
        "else linked.values[name] for name",
    ),
    Mutant(
        "what was left out before may be shown now",
        "domain/knowledge.py",
        "if value == self._now.get(place, 0) and value not in",
        "if False and value not in",
    ),
    Mutant("the window before is not linked", "domain/knowledge.py", "return (window.previous(), name[1:]) if", "return (window, name) if"),
    Mutant("small differences are shared", "domain/knowledge.py", "0 < abs(value - other) < self._k", "0 < abs(value - other) < 0"),
    Mutant("too much is taken back", "domain/disclosure.py", "if proofs is not None:", "if True:"),
    Mutant("a lone number is recognised", "domain/disclosure.py", "        self._keep_doubt()\n", ""),
    Mutant("a window may overlap a shared one", "domain/periods.py", "< min(self.end, other.end)", "< min(self.start, other.start)"),
]


def plant(mutant: Mutant, folder: Path) -> None:
    """Put a fault into a copy of the sources; raises LookupError unless its text stands there exactly once."""
    path = folder / "aggregation" / mutant.file
    text = path.read_text("utf-8")
    if (found := text.count(mutant.right)) != 1:
        raise LookupError(f"the text of the fault stands {found} times in {mutant.file}: {mutant.name}")
    path.write_text(text.replace(mutant.right, mutant.wrong), "utf-8")


def survives(mutant: Mutant | None) -> bool:
    """Tell whether no test finds a fault; without one, whether all tests pass on an unchanged copy."""
    with tempfile.TemporaryDirectory(prefix="mrm-mutant-") as folder:
        shutil.copytree(SOURCE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            plant(mutant, Path(folder))
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "MRM_SHRINK": "no"}
        return all(passes(tests, environment) for tests in SUITES)


def passes(tests: list[str], environment: dict[str, str]) -> bool:
    """Tell whether the tests pass or one fails; raises RuntimeError if they could not be run."""
    shown = ["-q", "-rfE", "--tb=line", "--show-capture=no"]
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *shown, *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return True
    if done.returncode != 1 or not any(line.startswith("FAILED ") for line in done.stdout.splitlines()):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return False


def main(names: list[str]) -> int:
    """Plant the named faults, or all; returns 1 if one survives or the tests fail without any."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    if not survives(None):
        sys.stdout.write("the tests fail without any fault: mend that first\n")
        return 1
    survivors = []
    for number, mutant in enumerate(chosen, 1):
        alive = survives(mutant)
        survivors += [mutant.name] if alive else []
        sys.stdout.write(f"{number}/{len(chosen)} {'SURVIVES' if alive else 'found'}: {mutant.name}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - len(survivors)} of {len(chosen)} planted faults found\n")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
