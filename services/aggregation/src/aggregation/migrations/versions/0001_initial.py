"""Delivery tables, the ledger and the two sides of the counts."""

from pathlib import Path

from chassis.migrations import delivery_tables, run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    run_sql(delivery_tables())
    run_sql((HERE / "0001_ledger.sql").read_text(encoding="utf-8"))
    side = (HERE / "0001_side.sql").read_text(encoding="utf-8")
    for name in ("counts_a", "counts_b"):
        run_sql(side.replace("counts_side", name))
