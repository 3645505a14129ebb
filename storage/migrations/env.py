"""Alembic's entry: runs on the connection that `storage.migrate` passes in."""

from alembic import context

import storage.connecting_schema
import storage.gates
import storage.lookups
import storage.media_schema
import storage.profiles
import storage.sending_schema  # noqa: F401 - tables of these belong to the metadata
from storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
