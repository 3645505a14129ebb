"""What is shredded stays so, and what does not open says why: every sealed column, real rows."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from contracts.connector import Item
from contracts.errors import KeyDestroyed, Tampered, UnknownKey, VaultError
from contracts.tokens import Secret
from gateway.cli.parts import parts
from gateway.cli.restoring import put_right
from gateway.connecting import Connecting, ManualAccount
from storage import migrate
from storage.connections import Connections
from storage.database import Database
from storage.sealed import SEALED, Sealed
from tests.backups import backup_of
from tests.rig import Rig, text
from tests.workers.resealed import fill
from tests.workers.sessions import put_session
from token_vault import KeyStore, Purpose, Vault, open_vault

TENANTS = {"acme": "10", "beta": "20"}
SECRET = "EAAB-planted-token"
WORDS = "planted words"


def populate(rig: Rig) -> None:
    """For each tenant two rows in every sealed column."""
    connecting = Connecting(Connections(rig.database), rig.vault, ("facebook",))
    for tenant, first in TENANTS.items():
        for page in (first, f"{first}1"):
            connecting.add(ManualAccount(tenant, "facebook", page), Secret(SECRET))
            rig.drain(rig.put(text(page, "7", WORDS)))
            broken = f'{{"id":"{page}","messaging":[{{"message":3,"text":"{WORDS}"}}]}}'
            rig.drain(rig.put_items([Item("facebook", page, broken.encode())]))
            put_session(rig, tenant, SECRET)
        fill(rig, tenant, each=2)


def rows(database: Database, column: Sealed, tenant: str) -> list[dict[str, Any]]:
    query = sa.select(column.table).where(column.table.c.tenant == tenant).order_by(column.key)
    with database.read() as connection:
        return [{**row} for row in connection.execute(query).mappings()]


def open_row(vault: Vault, column: Sealed, row: Mapping[str, Any]) -> bytes:
    keys = vault.tenant(row["tenant"])
    return keys.open(Purpose(column.purpose), column.id_of(row), row["sealed"])


class Found(NamedTuple):
    """Two rows of `acme` and one of `beta`, of one column."""

    one: dict[str, Any]
    two: dict[str, Any]
    theirs: dict[str, Any]


def tampered(found: Found, _: Rig) -> dict[str, Any]:
    sealed = found.one["sealed"]
    return {**found.one, "sealed": sealed[:-3] + bytes([sealed[-3] ^ 1]) + sealed[-2:]}


def cut(found: Found, _: Rig) -> dict[str, Any]:
    return {**found.one, "sealed": found.one["sealed"][:-1]}


def swapped(found: Found, _: Rig) -> dict[str, Any]:
    return {**found.one, "sealed": found.two["sealed"]}


def moved_to_another_tenant(found: Found, _: Rig) -> dict[str, Any]:
    return {**found.one, "tenant": "beta"}


def of_another_tenant(found: Found, _: Rig) -> dict[str, Any]:
    return {**found.one, "sealed": found.theirs["sealed"]}


def of_no_key(found: Found, _: Rig) -> dict[str, Any]:
    return {**found.one, "sealed": b"\x01\xff\xff\xff\xfe" + found.one["sealed"][5:]}


def of_no_tenant(found: Found, _: Rig) -> dict[str, Any]:
    return {**found.one, "tenant": "nobody"}


def emptied(found: Found, _: Rig) -> dict[str, Any]:
    return {**found.one, "sealed": b""}


def destroyed(found: Found, rig: Rig) -> dict[str, Any]:
    rig.vault.destroy_tenant("acme")
    return found.one


WRONGS: list[tuple[Callable[[Found, Rig], dict[str, Any]], type[VaultError]]] = [
    (tampered, Tampered),
    (cut, Tampered),
    (swapped, Tampered),
    (moved_to_another_tenant, UnknownKey),
    (of_another_tenant, UnknownKey),
    (of_no_key, UnknownKey),
    (of_no_tenant, UnknownKey),
    (emptied, UnknownKey),
    (destroyed, KeyDestroyed),
]


def test_each_wrong_has_its_error_and_none_holds_content(rig: Rig) -> None:
    populate(rig)
    every = {}
    for column in SEALED:
        one, two = rows(rig.database, column, "acme")
        every[column] = Found(one, two, _first(rig.database, column, "beta"))
    plain = {column: open_row(rig.vault, column, found.one) for column, found in every.items()}
    assert all(plain.values())
    for wrong, error in WRONGS:
        for column, found in every.items():
            row = wrong(found, rig)
            with pytest.raises(VaultError) as caught:
                open_row(rig.vault, column, row)
            assert type(caught.value) is error, (wrong.__name__, column.table.name)
            said = "".join(traceback.format_exception(caught.value))
            for secret in (SECRET, WORDS, plain[column].hex(), row["sealed"].hex() or SECRET):
                assert secret not in said
            assert (caught.value.__cause__, caught.value.reason) == (None, error.reason)


def test_a_row_of_another_column_does_not_open(rig: Rig) -> None:
    """Of the same tenant, and for the same id."""
    populate(rig)
    for column in SEALED:
        [one, *_] = rows(rig.database, column, "acme")
        keys = rig.vault.tenant("acme")
        for purpose in set(Purpose) - {Purpose(column.purpose)}:
            with pytest.raises(Tampered):
                keys.open(purpose, column.id_of(one), one["sealed"])


def test_a_backup_from_before_a_tenant_was_shredded_stays_shut(
    rig: Rig, database_url: str, tmp_path: Path
) -> None:
    """Must stay so also when its data key was rotated before: no key of it is left."""
    populate(rig)
    plain = {
        column: open_row(rig.vault, column, _first(rig.database, column, "beta"))
        for column in SEALED
    }
    backup = backup_of(database_url, tmp_path)
    backup.make()
    rig.vault.rotation.renew("acme", rig.vault.rotation.sealing("acme"))
    rig.vault.destroy_tenant("acme")
    rig.close()

    backup.restore()
    restored, vault = Database(database_url), open_vault(rig.settings)
    assert migrate.is_ready(restored)
    for column in SEALED:
        theirs = rows(restored, column, "acme")
        assert [bool(row["sealed"]) for row in theirs] == [True, True], "the bytes are back"
        for row in theirs:
            with pytest.raises(KeyDestroyed):
                open_row(vault, column, row)
        assert open_row(vault, column, _first(restored, column, "beta")) == plain[column]
    restored.close()
    vault.close()

    environ = {"GATEWAY_DATA_DIR": str(rig.settings.data_dir), "GATEWAY_DATABASE_URL": database_url}
    said: list[str] = []
    with parts(environ) as built:
        put_right(built, said.append)
        assert "erasures: 1 tenants and 0 contacts again, 2 messages blanked" in said
        for column in SEALED[:2]:
            assert [row for row in rows(built.database, column, "acme") if row["sealed"]] == []
        for column in SEALED:
            kept = _first(built.database, column, "beta")
            assert open_row(built.vault, column, kept) == plain[column]


def test_the_key_stores_own_backup_is_why_it_is_kept_for_days_only(rig: Rig) -> None:
    """What an operator must know: an old key store brings shredded keys back."""
    populate(rig)
    store = KeyStore(rig.settings.keystore)
    kept = store.read("acme", ["tenant-data", "tenant-prf"])
    rig.vault.destroy_tenant("acme")
    with store._transaction("write") as connection:
        connection.exec_driver_sql("DELETE FROM keys WHERE name = 'acme'")
    store.add([*kept.values()])
    assert open_row(rig.vault, SEALED[0], _first(rig.database, SEALED[0], "acme"))
    assert [line.kind for line in rig.vault.erasures()] == ["tenant"], "the journal says it"
    store.close()


def _first(database: Database, column: Sealed, tenant: str) -> dict[str, Any]:
    return rows(database, column, tenant)[0]
