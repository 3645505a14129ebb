"""SQLite: the inbox's index by segment and lane instead of by lane; see `storage/undrained.py`."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_inbox_lane", "inbox")
        op.execute("CREATE INDEX ix_inbox_segment ON inbox (id >> 10, lane)")
