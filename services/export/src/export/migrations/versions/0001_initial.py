"""Snapshots, submissions, approvals and signed bundles."""

from pathlib import Path

from chassis.migrations import delivery_tables, run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql(delivery_tables())
    run_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
