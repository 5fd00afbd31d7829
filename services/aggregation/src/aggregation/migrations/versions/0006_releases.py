"""What a release left out is kept beside what it showed: a later release must not give it away."""

from pathlib import Path

from chassis.migrations import run_sql

revision = "0006"
down_revision = "0003"


def upgrade() -> None:
    run_sql((Path(__file__).parent / "0006_releases.sql").read_text(encoding="utf-8"))
