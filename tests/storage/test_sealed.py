"""The table of sealed columns is whole."""

from storage import schema
from storage.lookups import lookups
from storage.sealed import OTHERWISE, SEALED
from token_vault import Purpose


def test_every_sealed_column_is_in_one_line() -> None:
    """What a new column must not miss: without its line, no rotation reaches it."""
    sealed = sorted(table.name for table in schema.metadata.sorted_tables if "sealed" in table.c)
    assert sorted([*(column.table.name for column in SEALED), *OTHERWISE]) == sealed


def test_its_lines_name_what_is_there() -> None:
    for column in SEALED:
        assert {"tenant", "sealed", *column.by} <= set(column.table.c.keys())
        assert Purpose(column.purpose)
    own = [column for column in SEALED if column.table is not lookups]  # a message, in waiting
    assert len({column.purpose for column in own}) == len(own)
