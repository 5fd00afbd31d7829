"""Emergency access to a case, and the co-chairs' acknowledgements of it."""

from pathlib import Path

from chassis.migrations import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
