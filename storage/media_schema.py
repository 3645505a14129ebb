"""The table of media: what came with messages, and what is to be sent."""

from typing import Final

import sqlalchemy as sa

from storage.schema import metadata

WAITING: Final = "waiting"
UPLOADING: Final = "uploading"
STORED: Final = "stored"
FAILED: Final = "failed"
ENDING: Final = "ending"
ENDED: Final = "ended"

# `object` is the name in the object store, of the latest attempt, written before its first byte: in
# the states `waiting` and `uploading` there may be one already, `stored` has one, `ending` may have
# one still. `failed` and `ended` have none. `attachment`: the id in the feed, the same for each
# tenant that has the account. `connection` is null for what is to be sent. `reason`: why it failed
# or ended, in our words.
media = sa.Table(
    "media",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("attachment", sa.Text, nullable=False, index=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("connection", sa.Text, index=True),
    sa.Column("contact", sa.LargeBinary(16)),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
    sa.Column("object", sa.Text, index=True),
    sa.Index("ix_media_tenant_contact", "tenant", "contact"),
)
sa.Index(
    "ix_media_ending",
    media.c.id,
    postgresql_where=media.c.state == ENDING,
    sqlite_where=media.c.state == ENDING,
)
