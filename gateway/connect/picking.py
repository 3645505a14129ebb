"""From picked accounts to what a consent makes: connections, grants, names; computed and sealed
before the one transaction that writes them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from contracts.accounts import AccountPart, Choice
from contracts.connection import AccountDetails, decode_details, encode_details
from contracts.connector import Feature
from contracts.errors import BeingRevoked, Conflict, InvalidInput
from contracts.login import Granted, Tokens
from storage.connect_sessions import Session
from storage.connections import Connection, Grant, new_id
from storage.consenting import Account, Consenting, Given, Made
from storage.database import now_ms
from storage.grants import Grants
from token_vault import (
    DeploymentKeys,
    GrantTokens,
    Kept,
    Purpose,
    TenantKeys,
    Vault,
    token_names,
    user_names,
)

_TRIES: Final = 3
"""Another consent may make what this one would; then what it made is found and used."""

Picked = Mapping[int, Collection[str] | None]
"""Numbers of choices; each with the ids of its parts that were picked, None: as they are."""


class Picking:
    """Connects what was picked, over one database and one vault."""

    def __init__(
        self,
        consenting: Consenting,
        grants: Grants,
        vault: Vault,
        tokens: GrantTokens,
        committed: Callable[[], None],
    ) -> None:
        """`committed` is called when there is work for the workers."""
        self._consenting, self._grants = consenting, grants
        self._vault, self._tokens = vault, tokens
        self._committed = committed

    def same_account(self, session: Session, kept: Kept) -> int | None:
        """The number of the choice that is the account of the session's connection."""
        keys = self._vault.tenant(session.tenant)
        hashes = [_account(keys, session, choice) for choice in kept.choices]
        known = self._consenting.known(session.tenant, session.provider, hashes)
        for number, hash_ in enumerate(hashes):
            if hash_ in known and known[hash_].id == session.connection:
                return None if kept.choices[number].hindrance else number
        return None

    def connect(
        self, session: Session, kept: Kept, picked: Picked, features: Sequence[Feature]
    ) -> None:
        """Raises `InvalidInput` when nothing is picked that can be connected, `BeingRevoked`,
        `NotFound` when the session went another way meanwhile.
        """
        for left in reversed(range(_TRIES)):
            made = self._made(session, kept, picked, features)
            try:
                self._consenting.connect(made)
            except BeingRevoked:
                raise
            except Conflict:
                if not left:
                    raise
            else:
                self._committed()
                return

    def _made(
        self, session: Session, kept: Kept, picked: Picked, features: Sequence[Feature]
    ) -> Made:
        picked = {n: parts for n, parts in sorted(picked.items()) if _can(kept.choices, n)}
        if kept.granted is None or not picked:
            raise InvalidInput("pick at least one account")
        keys = self._vault.tenant(session.tenant)
        deployment = self._vault.deployment()
        hashes = {n: _account(keys, session, kept.choices[n]) for n in picked}
        known = self._consenting.known(session.tenant, session.provider, [*hashes.values()])
        making = _Making(session, kept, kept.granted, features, keys, deployment)
        accounts = {
            n: making.account(kept.choices[n], parts, known.get(hashes[n]))
            for n, parts in picked.items()
        }
        return Made(
            session=session,
            person=deployment.hash("person", session.login, kept.granted.tokens.subject),
            accounts=[*accounts.values()],
            given=self._given(making, {n: one.connection.id for n, one in accounts.items()}),
            asked=kept.asked,
        )

    def _given(self, making: "_Making", ids: Mapping[int, str]) -> list[Given]:
        """A grant for each account with a token of its own, and one for all the others: a grant of
        this provider's, since tokens for another one of the same login need not have these scopes.
        """
        given = []
        tokens = making.granted.tokens
        others = [id_ for n, id_ in ids.items() if making.kept.choices[n].token is None]
        if others:
            given.append(self._grant(making, tokens, making.session.provider, others))
        for n, id_ in ids.items():
            choice = making.kept.choices[n]
            if choice.token is not None:
                own = Tokens(choice.token, tokens.obtained_at, subject=tokens.subject)
                given.append(self._grant(making, own, choice.account, [id_]))
        return given

    def _grant(self, making: "_Making", tokens: Tokens, of: str, carries: Collection[str]) -> Given:
        session = making.session
        subject = making.keys.hash("subject", session.login, tokens.subject, of)
        known = self._grants.find(session.tenant, session.login, subject)
        if known is not None and tokens.refresh_token is None:
            tokens = self._with_refresh_token(tokens, known)
        id_ = known.id if known else new_id("gra")
        sealed = self._tokens.seal(session.tenant, id_, tokens)
        return Given(making.grant(id_, subject, sealed, tokens), carries, making.names(tokens))

    def _with_refresh_token(self, tokens: Tokens, known: Grant) -> Tokens:
        """A consent that is given again may bring no refresh token: the one before stays good."""
        if not known.sealed or known.refusal:
            return tokens
        before = self._tokens.open(known, job="connect")
        return msgspec.structs.replace(tokens, refresh_token=before.refresh_token)


class _Making(NamedTuple):
    """One consent with the keys of whom it is for; makes rows."""

    session: Session
    kept: Kept
    granted: Granted
    features: Sequence[Feature]
    keys: TenantKeys
    deployment: DeploymentKeys

    def account(
        self, choice: Choice, parts: Collection[str] | None, known: Connection | None
    ) -> Account:
        """The connection of `choice`, under the id that it has if it is `known`."""
        session, now = self.session, now_ms()
        id_ = known.id if known else new_id("con")
        details = AccountDetails(
            account=choice.account,
            name=choice.name,
            parts=self._parts(choice, parts, known),
            business=session.business,
            parent=choice.parent,
        )
        missing = [f.name for f in self.features if not self.granted.scopes.issuperset(f.scopes)]
        connection = Connection(
            id=id_,
            tenant=session.tenant,
            provider=session.provider,
            account=_account(self.keys, session, choice),
            sealed=self.keys.seal(Purpose.CONNECTION, id_.encode(), encode_details(details)),
            status="pending",
            status_reason="",
            created_at_ms=now,
            changed_at_ms=now,
            receives_from_ms=now,
            features=sorted(feature.name for feature in self.features),
            missing=sorted(missing),
        )
        route, *others = (
            self.deployment.hash("route", session.provider, route) for route in details.routes
        )
        return Account(connection, route, others)

    def _parts(
        self, choice: Choice, parts: Collection[str] | None, known: Connection | None
    ) -> tuple[AccountPart, ...]:
        if parts is None and known is not None:
            plain = self.keys.open(Purpose.CONNECTION, known.id.encode(), known.sealed)
            return decode_details(plain).parts
        return tuple(part for part in choice.parts if part.id in (parts or ()))

    def grant(self, id_: str, subject: bytes, sealed: bytes, tokens: Tokens) -> Grant:
        """The row of a grant that has `tokens`."""
        session, granted = self.session, self.granted
        return Grant(
            id=id_,
            tenant=session.tenant,
            login=session.login,
            subject=subject,
            scopes=sorted(granted.scopes),
            sealed=sealed,
            version=1,
            created_at_ms=now_ms(),
            expires_at_ms=None if tokens.expires_at is None else _ms(tokens.expires_at),
            obtained_at_ms=_ms(tokens.obtained_at),
            declined=sorted((self.kept.asked - granted.scopes) | granted.declined),
            person=self.deployment.hash("person", session.login, tokens.subject),
        )

    def names(self, tokens: Tokens) -> frozenset[tuple[str, bytes]]:
        """By which the provider may speak of the grant."""
        login, ids = self.session.login, self.granted.ids | {tokens.subject}
        named = token_names(self.deployment, login, tokens)
        return named | user_names(self.deployment, login, ids)


def _can(choices: Sequence[Choice], number: int) -> bool:
    return 0 <= number < len(choices) and not choices[number].hindrance


def _account(keys: TenantKeys, session: Session, choice: Choice) -> bytes:
    return keys.hash("account", session.provider, choice.account)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
