"""Plants one fault after the other in a copy of the sources and runs the tests on it: every fault must be found.

The tests run on an unchanged copy first and must pass there; else what they say of a fault is worth nothing. A fault is found by a
test that fails, not by one that cannot be run. Some faults must be found by one certain test: that of the property they break.

make mutants            # all of them
python tests/mutants/run.py NAME…
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "aggregation": "services/aggregation/src",
    "contracts": "contracts/src",
    "intake": "services/intake/src",
    "verification": "services/verification/src",
}
SUITES = (
    "tests/unit/aggregation/test_exchange_files.py",
    "tests/integration/test_aggregation_histories.py",
    "tests/integration/test_aggregation_contributors.py",
)
"""Tried in this order until one finds the fault, unless it says by which it must be found."""
CONSERVATION = "tests/integration/test_aggregation_conservation.py"
CONTRIBUTORS = f"{CONSERVATION}::test_the_contributors_of_every_cell_of_every_table_add_up_to_it"
WINDOWS = f"{CONSERVATION}::test_windows_add_up_to_the_window_they_cut"
AGREE = f"{CONSERVATION}::test_tables_of_one_window_agree_with_each_other"
POSTINGS = f"{CONSERVATION}::test_the_postings_of_a_violation_sum_to_its_contribution_or_zero"
INTERLEAVING = f"{CONSERVATION}::test_any_interleaving_of_subjects_writers_and_situations_gives_the_same_figures"
DAYS = "tests/integration/test_situation_days.py"
FILES = "tests/unit/contracts/test_exchange_check.py"
RULE = "tests/unit/aggregation"
"""Where the rule of small numbers is attacked (C14)."""


@dataclass(frozen=True)
class Mutant:
    """A fault: in `file` of a package the text `right` becomes `wrong`; `by` names the one test that must find it."""

    name: str
    file: str
    right: str
    wrong: str
    package: str = "aggregation"
    by: str = ""


MUTANTS = [
    Mutant(
        "the window's last day is the next one's first",
        "store/figures.py",
        "decided_on >= $3 and decided_on < $4",
        "decided_on >= $3 and decided_on <= $4",
    ),
    Mutant(
        "the window's last day is the next one's first, so windows do not add up",
        "store/figures.py",
        "decided_on >= $3 and decided_on < $4",
        "decided_on >= $3 and decided_on <= $4",
        by=WINDOWS,
    ),
    Mutant("the window leaves its first day out", "store/figures.py", "decided_on >= $3 and", "decided_on > $3 and", by=WINDOWS),
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
    Mutant("what was reversed still stands", "bookkeeping.py", "changes.fallen.add(posting.violation)", "pass"),
    Mutant("what stands is out of date", "store/books.py", "for position, row in changes.risen.values()]", "for position, row in ()]"),
    Mutant("as of one entry too late, far back", "store/standing.py", "select sign, {_POSTED} <= $2", "select sign, {_POSTED} <= $2 + 1"),
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
    Mutant("age fourteen is younger", "domain/counting.py", "int(low) <= age <= int(high)", "int(low) <= age - 1 <= int(high)"),
    Mutant("a group with several violations is several groups", "domain/counting.py", "total_of(group.size for group in groups)", "NOBODY"),
    Mutant(
        "the parts of a trend begin a day late",
        "domain/periods.py",
        "if self.start < day < self.end), self.end]",
        "if day < self.end), self.end]",
    ),
    Mutant("the year's first month is its second", "domain/periods.py", "if index % step == 0]", "if index % step == 1 % step]"),
    Mutant("a pending report stands nowhere", "domain/incident.py", "Status.PENDING: Standing.UNVERIFIED", "Status.PENDING: None"),
    Mutant(
        "a decided violation keeps the list of the decision before",
        "domain/incident.py",
        "        return decision.attribution\n    return",
        "        return (*decision.attribution, *(one.entry for one in coded.perpetrators))\n    return",
    ),
    Mutant("a group's children are listed twice", "domain/incident.py", "return total_of((*victims, *groups))", "return total_of(victims)"),
    Mutant("what is given is less than what is linked", "domain/incident.py", "return violation.tally\n", "return linked\n"),
    Mutant("an exception lacks only its first field", "store/figures.py", "if missing\n            ),", "if missing\n            )[:1],"),
    Mutant(
        "late comes from the day and not from the quarter",
        "domain/periods.py",
        "quarter_of(decided_on) > quarter_of(ended_on)",
        "decided_on > ended_on",
    ),
    Mutant(
        "a link to what is gone still hides",
        "bookkeeping.py",
        "for link, present in self._links[name].items() if present}",
        "for link in self._links[name]}",
    ),
    Mutant("nobody wakes a link", "bookkeeping.py", "for link in changed:", "for link in ():"),
    Mutant(
        "a link that comes before its original never wakes", "bookkeeping.py", "for link in changed:", "for link in ():", by=INTERLEAVING
    ),
    Mutant(
        "who waits for an incident is not posted anew",
        "bookkeeping.py",
        "{entry.subject, *(link.incident for link in changed)}",
        "{entry.subject}",
    ),
    Mutant(
        "what is superseded is not reversed",
        "bookkeeping.py",
        "            changes.postings.append((position, sign, posting))\n",
        "            changes.postings += [(position, sign, posting)] if sign == 1 else []\n",
        by=POSTINGS,
    ),
    Mutant(
        "what is superseded is reversed twice",
        "bookkeeping.py",
        "            changes.postings.append((position, sign, posting))\n",
        "            changes.postings += [(position, sign, posting)] * (1 if sign == 1 else 2)\n",
        by=POSTINGS,
    ),
    Mutant(
        "members of what is superseded stay",
        "bookkeeping.py",
        "for membership in rows.memberships]",
        "for membership in rows.memberships if sign == 1]",
    ),
    Mutant("looking back, one entry is not taken away", "store/standing.py", "{_POSTED} > $2", "{_POSTED} > $2 + 1"),
    Mutant(
        "children as of one entry too late",
        "store/figures.py",
        '_MEMBERS: Final = f"{_VERIFIED} and position <= $2"',
        '_MEMBERS: Final = f"{_VERIFIED} and position <= $2 + 1"',
    ),
    Mutant(
        "a child's links are followed one step",
        "store/figures.py",
        "select ends.other from reached join ends on ends.name = reached.name",
        "select ends.other from counts_side.memberships join ends on ends.name = member where false",
    ),
    Mutant("a violation alone makes a multiple child", "store/figures.py", "having count(*) >= 2", "having count(*) >= 1"),
    Mutant(
        "contributors stand on two pages",
        "routes/tables.py",
        'entry["violation"] > part.after',
        'entry["violation"] >= part.after',
        by=CONTRIBUTORS,
    ),
    Mutant(
        "a contributor's share is its tally, so shares do not add up",
        "domain/contributors.py",
        "known[cell] = _share(",
        "known[cell] = cell.tally.total or _share(",
        by=CONTRIBUTORS,
    ),
    Mutant(
        "a child's violations are those of one record",
        "domain/children.py",
        "frozenset((part.violation, part.late) for part in counted)",
        "frozenset((part.violation, part.late) for part in counted[:1])",
        by="tests/integration/test_aggregation_contributors.py",
    ),
    Mutant(
        "what is late is on time as well",
        "domain/counting.py",
        "(self.late_inside or not cell.late)",
        "(self.late_inside or True)",
        by=AGREE,
    ),
    Mutant(
        "a violation without a region is left out",
        "domain/counting.py",
        "(cell.region if cell.region is not None else UNKNOWN_REGION,)",
        "(cell.region,) if cell.region is not None else ()",
        by=AGREE,
    ),
    Mutant("the day is that of UTC", "situation.py", "now.astimezone(self.zone).date()", "now.date()", package="contracts", by=DAYS),
    Mutant(
        "the days of a file are those of UTC",
        "exchange_check.py",
        "now.astimezone(ZoneInfo(document.situation.time_zone)).date()",
        "now.date()",
        package="contracts",
        by=FILES,
    ),
    Mutant(
        "intake's day is that of UTC",
        "routes.py",
        "today=situation.today(tx.now), first=True",
        "today=tx.now.date(), first=True",
        package="intake",
        by=DAYS,
    ),
    Mutant(
        "a decision's day is that of UTC",
        "routes/decisions.py",
        "today=document.today(tx.now)",
        "today=tx.now.date()",
        package="verification",
        by=DAYS,
    ),
    Mutant(
        "a docket's day is that of UTC",
        "routes/dockets.py",
        "today=document.today(tx.now)",
        "today=tx.now.date()",
        package="verification",
        by=DAYS,
    ),
    Mutant(
        "an arriving report's day is that of UTC",
        "handlers.py",
        "today=situation.today(event.received_at)",
        "today=event.received_at.date()",
        package="verification",
        by=DAYS,
    ),
    Mutant("the superseded is not reversed", "bookkeeping.py", "(before.without(case.rows), -1)", "(Rows(), -1)"),
    Mutant(
        "nothing protects what is small",
        "domain/disclosure.py",
        "self._left_out.setdefault(other, Reason.WITHHELD if",
        "proven.add(other) if other else self._left_out.setdefault(other, Reason.WITHHELD if",
        by=RULE,
    ),
    Mutant(
        "the largest small number is shared",
        "domain/disclosure.py",
        "(abs(linked.values[name]) < k or",
        "(abs(linked.values[name]) < k - 1 or",
        by=RULE,
    ),
    Mutant("a value too few is possible", "domain/directions.py", "linked, steps=k - 1)", "linked, steps=k - 2)", by=RULE),
    Mutant(
        "what is left out may be a zero",
        "domain/directions.py",
        "else linked.values[name] - 1 for name",
        "else linked.values[name] for name",
        by=RULE,
    ),
    Mutant(
        "what was left out before may be shown now",
        "domain/knowledge.py",
        "if value == self._now.get(place, 0) and value not in",
        "if False and value not in",
        by=RULE,
    ),
    Mutant(
        "the window before is not linked",
        "domain/knowledge.py",
        "return (window.previous(), name[1:]) if",
        "return (window, name) if",
        by=RULE,
    ),
    Mutant(
        "small differences are shared", "domain/knowledge.py", "0 < abs(value - other) < self._k", "0 < abs(value - other) < 0", by=RULE
    ),
    Mutant(
        "a lowered threshold holds for what has left", "domain/knowledge.py", "return max([k, *(numbers.k", "return max([k, *(0", by=RULE
    ),
    Mutant("too much is taken back", "domain/disclosure.py", "if proofs is not None:", "if True:", by=RULE),
    Mutant("a lone number is recognised", "domain/disclosure.py", "        self._keep_doubt()\n", "", by=RULE),
    Mutant(
        "a window may overlap a shared one", "domain/periods.py", "< min(self.end, other.end)", "< min(self.start, other.start)", by=RULE
    ),
]


def plant(mutant: Mutant, folder: Path) -> None:
    """Put a fault into a copy of the sources; raises LookupError unless its text stands there exactly once."""
    path = folder / mutant.package / mutant.file
    text = path.read_text("utf-8")
    if (found := text.count(mutant.right)) != 1:
        raise LookupError(f"the text of the fault stands {found} times in {mutant.package}/{mutant.file}: {mutant.name}")
    path.write_text(text.replace(mutant.right, mutant.wrong), "utf-8")


def copied(folder: Path, package: str) -> Path:
    """Copy the sources of a package into a folder."""
    shutil.copytree(ROOT / SOURCES[package], folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def finder(mutant: Mutant) -> str | None:
    """Return the tests that find a fault, None if it survives."""
    with tempfile.TemporaryDirectory(prefix="mrm-mutant-") as name:
        folder = copied(Path(name), mutant.package)
        plant(mutant, folder)
        return next((tests for tests in ([mutant.by] if mutant.by else SUITES) if not passes([tests], folder)), None)


def pass_without_a_fault(mutants: list[Mutant]) -> bool:
    """Tell whether all tests that the mutants rest on pass on unchanged copies."""
    with tempfile.TemporaryDirectory(prefix="mrm-mutant-") as name:
        folder = Path(name)
        for package in {mutant.package for mutant in mutants}:
            copied(folder, package)
        tests = {mutant.by for mutant in mutants if mutant.by} | ({*SUITES} if any(not mutant.by for mutant in mutants) else set())
        return passes(sorted(tests), folder)


def passes(tests: list[str], folder: Path) -> bool:
    """Tell whether the tests pass or one fails, with the sources of a folder; raises RuntimeError if they could not be run."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "MRM_SHRINK": "no", "MRM_TEST_SEED": "1"}
    shown = ["-q", "-rfE", "--tb=line", "--show-capture=no", "--hypothesis-seed=1"]
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *shown, *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return True
    if done.returncode != 1 or not any(line.startswith("FAILED ") for line in done.stdout.splitlines()):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return False


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(names: list[str]) -> int:
    """Plant the named faults, or all; returns 1 if one survives or the tests fail without any."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    for mutant in chosen:  # a fault whose text has moved is said before anything is run
        with tempfile.TemporaryDirectory(prefix="mrm-mutant-") as name:
            plant(mutant, copied(Path(name), mutant.package))
    if not pass_without_a_fault(chosen):
        say("the tests fail without any fault: mend that first")
        return 1
    survivors = 0
    for number, mutant in enumerate(chosen, 1):
        started = time.monotonic()
        found_by = finder(mutant)
        survivors += found_by is None
        verdict = "SURVIVES" if found_by is None else f"found by {found_by.removeprefix('tests/')} in {time.monotonic() - started:.0f} s"
        say(f"{number}/{len(chosen)} {verdict}: {mutant.name}")
    say(f"{len(chosen) - survivors} of {len(chosen)} planted faults found")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
