"""The table of ASVS requirements: every one of levels 1 and 2 stands in it once, and every proof it names is there."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TABLE: Final = ROOT / "docs" / "asvs.md"
REQUIREMENTS: Final = 253
"""Of levels 1 and 2 of version 5.0.0, all seventeen chapters."""
ANSWERS: Final = {"yes", "issuer", "operator", "no case", "open"}


def rows() -> list[list[str]]:
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| V")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_requirement_stands_once_and_has_an_answer() -> None:
    found = [number for row in rows() for number in row[0].split(", ")]
    assert len(found) == len(set(found)) == REQUIREMENTS
    assert all(re.fullmatch(r"V\d{1,2}\.\d\.\d{1,2}", number) for number in found)
    for numbers, subject, answer, reason in rows():
        assert answer in ANSWERS, numbers
        assert subject, numbers
        assert reason, numbers


def test_every_proof_is_there() -> None:
    proofs = re.findall(r"`([a-z_/]+\.py)(?:::(\w+))?`", TABLE.read_text("utf-8"))
    assert len(proofs) > 100
    for path, name in proofs:
        file = ROOT / "tests" / path
        assert file.is_file(), path
        assert not name or re.search(rf"^(async )?def {name}\(", file.read_text("utf-8"), re.MULTILINE), f"{path}::{name}"
