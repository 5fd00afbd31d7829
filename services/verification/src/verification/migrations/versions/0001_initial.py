"""The first shape of verification's database."""

from pathlib import Path

from chassis.migrations import delivery_tables, run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(delivery_tables())
    run_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
