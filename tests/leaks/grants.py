"""Grants of every login and fate, stored as a consent stores them, and what became of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.login import Tokens
from contracts.settings import Settings
from contracts.tokens import Secret
from storage.connections import Grant, new_id
from storage.database import Database, now_ms
from storage.due import DueRows
from storage.grants import REFRESH, Grants
from tests.leaks.planted import Planted
from tests.leaks.provider import FATES, Fate
from token_vault import Vault, open_vault, seal_tokens
from workers.token_times import lifetime_ms

LOGINS: Final = ("google", "instagram", "meta")
TENANT: Final = "acme"


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Database, Vault]]:
    """The stores of a deployment, from this process."""
    database, vault = Database(settings.database), open_vault(settings)
    try:
        yield database, vault
    finally:
        database.close()
        vault.close()


class Consents:
    """Grants that carry one connection, due at once."""

    def __init__(self, settings: Settings, planted: Planted, connection: str) -> None:
        self._settings, self._planted, self._connection = settings, planted, connection
        self._ids: dict[tuple[str, Fate], str] = {}

    def give(self) -> None:
        """One of each login and fate."""
        with opened(self._settings) as (database, vault):
            for login in LOGINS:
                for fate in FATES:
                    grant = self._grant(vault, login, fate)
                    Grants(database).consented(grant, [self._connection])
                    self._ids[login, fate] = grant.id

    def _grant(self, vault: Vault, login: str, fate: Fate) -> Grant:
        id_ = new_id("gra")
        tokens = self._tokens(login, fate)
        obtained_ms, expires_ms = lifetime_ms(tokens)
        return Grant(
            id=id_,
            tenant=TENANT,
            login=login,
            subject=id_.encode()[:16],
            scopes=[],
            sealed=seal_tokens(vault.tenant(TENANT), id_, tokens),
            version=1,
            created_at_ms=now_ms(),
            obtained_at_ms=obtained_ms,
            expires_at_ms=expires_ms,
        )

    def _tokens(self, login: str, fate: Fate) -> Tokens:
        """Due: over at Google, so that it is said, and old enough for Instagram. They begin as the
        provider's own.
        """
        now, planted = datetime.now(UTC), self._planted
        sent = Secret(planted.secret(f"{login} {fate}", _PREFIXES[login]))
        if login == "google":
            access = Secret(planted.secret(f"google {fate} access", "ya29."))
            return Tokens(access, now - timedelta(hours=1), now - timedelta(minutes=1), sent)
        ends = now + timedelta(days=1) if login == "instagram" else None
        return Tokens(sent, now - timedelta(days=50), ends)

    def are_done(self, *but: Fate) -> bool:
        """Whether all but those of some fates were refreshed, or were not for a reason."""
        with opened(self._settings) as (database, _):
            rows = DueRows(database)
            waits = [x for (_, fate), x in self._ids.items() if fate not in but]
            found = [rows.standing(REFRESH, id_) for id_ in waits]
            grants = [Grants(database).get(id_) for id_ in waits]
        return all(
            row is not None
            and not row.taken
            and (row.attempts or grant.version > 1 or grant.refusal)
            for row, grant in zip(found, grants, strict=True)
        )

    def again(self) -> None:
        """Have those that did not succeed come due."""
        with opened(self._settings) as (database, _):
            for (_, fate), id_ in self._ids.items():
                if fate not in ("good", "over"):
                    DueRows(database).schedule(REFRESH, id_, now_ms())

    def found_nobody(self) -> bool:
        """Whether the last refresh of them found nobody listening."""
        with opened(self._settings) as (database, _):
            rows = DueRows(database)
            found = [
                rows.standing(REFRESH, id_)
                for (_, fate), id_ in self._ids.items()
                if fate not in ("good", "over")
            ]
        return all(row is not None and "ConnectError" in row.last_error for row in found)


_PREFIXES: Final = {"google": "1//0", "instagram": "IGAA", "meta": "EAAG"}
