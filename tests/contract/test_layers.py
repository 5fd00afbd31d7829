"""The import contracts hold, and each of them goes red on a planted violation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (
    "contracts/src",
    "chassis/src",
    "services/intake/src",
    "services/verification/src",
    "services/aggregation/src",
    "services/export/src",
    "deploy/cli/src",
    "deploy/local/src",
)
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the code in which a test may plant what it likes."""
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(house / source) for source in SOURCES)
    return subprocess.run(
        [sys.executable, "-c", LINT, "--config", "pyproject.toml", "--no-cache"],
        cwd=house,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_hold(house: Path) -> None:
    done = lint(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("where", "planted", "broken"),
    [
        ("contracts/src/contracts/planted.py", "import chassis.errors\n", "Three floors"),
        ("chassis/src/chassis/planted.py", "import intake\n", "Three floors"),
        ("services/export/src/export/planted.py", "import aggregation\n", "Three floors"),
        ("deploy/cli/src/mrm/planted.py", "import verification\n", "know no service"),
        ("deploy/local/src/local_stack/planted.py", "import aggregation\n", "know no service"),
        ("services/intake/src/intake/planted.py", "import chassis.sealing.opening\n", "Intake can seal"),
        ("services/export/src/export/domain/planted.py", "import chassis.storage\n", "The domain of a service is pure"),
        ("services/aggregation/src/aggregation/domain/planted.py", "import asyncpg\n", "The domain of a service is pure"),
        ("services/verification/src/verification/store/planted.py", "import verification.routes\n", "Inside a service"),
    ],
)
def test_a_planted_violation_is_seen(house: Path, where: str, planted: str, broken: str) -> None:
    (house / where).write_text(planted)
    done = lint(house)
    assert done.returncode == 1
    assert any(broken in line and "BROKEN" in line for line in done.stdout.splitlines()), done.stdout
