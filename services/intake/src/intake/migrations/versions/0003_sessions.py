"""Sessions of people who sign in for pages."""

from chassis.migrations import run_sql, sessions_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql(sessions_table())
