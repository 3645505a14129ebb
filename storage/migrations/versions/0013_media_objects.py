"""The object of media is named by the attempt that wrote it, no longer by their row."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("media", sa.Column("object", sa.Text(), nullable=True))
    op.execute("UPDATE media SET object = id WHERE state NOT IN ('failed', 'ended')")
    op.create_index("ix_media_object", "media", ["object"])
