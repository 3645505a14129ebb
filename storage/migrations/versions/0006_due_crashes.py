"""Due rows whose job ends its process are counted, and may be asked for while it runs."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("due", sa.Column("crashes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("due", sa.Column("again_at_ms", sa.BigInteger(), nullable=True))
