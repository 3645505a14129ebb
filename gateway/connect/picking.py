"""From picked accounts to what a consent makes: connections, grants, names; computed and sealed
before the one transaction that writes them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from contracts.accounts import Choice
from contracts.connection import AccountDetails, decode_details, encode_details
from contracts.connector import Feature
from contracts.errors import BeingRevoked, Conflict, InvalidInput
from contracts.login import Granted, Tokens
from storage.connect_sessions import Session
from storage.connections import Connection, Grant, new_id
from storage.consenting import Account, Consenting, Given, Made
from storage.database import now_ms
from storage.grants import Grants
from token_vault import GrantTokens, Kept, Purpose, TenantKeys, Vault, token_names, user_names

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
        granted = kept.granted
        picked = {n: parts for n, parts in picked.items() if _can(kept.choices, n)}
        if granted is None or not picked:
            raise InvalidInput("pick at least one account")
        keys, deployment = self._vault.tenant(session.tenant), self._vault.deployment()
        hashes = {n: _account(keys, session, kept.choices[n]) for n in picked}
        known = self._consenting.known(session.tenant, session.provider, [*hashes.values()])
        accounts = []
        by_number = {}
        for n, parts in sorted(picked.items()):
            choice = kept.choices[n]
            made = _connection(
                keys, session, choice, parts, features, granted, hashes[n], known.get(hashes[n])
            )
            route = deployment.hash("route", session.provider, choice.account)
            accounts.append(Account(made, route))
            by_number[n] = made.id
        return Made(
            session=session,
            person=deployment.hash("person", session.login, granted.tokens.subject),
            accounts=accounts,
            given=self._given(session, kept, granted, by_number),
            asked=kept.asked,
        )

    def _given(
        self, session: Session, kept: Kept, granted: Granted, by_number: Mapping[int, str]
    ) -> list[Given]:
        """A grant for each account with a token of its own, and one for all the others."""
        given = []
        others = [id_ for n, id_ in by_number.items() if kept.choices[n].token is None]
        if others:
            given.append(self._grant(session, kept, granted, granted.tokens, (), others))
        for n, id_ in by_number.items():
            choice = kept.choices[n]
            if choice.token is not None:
                own = Tokens(
                    choice.token, granted.tokens.obtained_at, subject=granted.tokens.subject
                )
                given.append(self._grant(session, kept, granted, own, (choice.account,), [id_]))
        return given

    def _grant(
        self,
        session: Session,
        kept: Kept,
        granted: Granted,
        tokens: Tokens,
        account: tuple[str, ...],
        carries: Collection[str],
    ) -> Given:
        keys, deployment = self._vault.tenant(session.tenant), self._vault.deployment()
        login, who = session.login, tokens.subject
        subject = keys.hash("subject", login, who, *account)
        known = self._grants.find(session.tenant, login, subject)
        if known is not None and tokens.refresh_token is None:
            tokens = self._with_refresh_token(tokens, known)
        id_, now = known.id if known else new_id("gra"), now_ms()
        grant = Grant(
            id=id_,
            tenant=session.tenant,
            login=login,
            subject=subject,
            scopes=sorted(granted.scopes),
            sealed=self._tokens.seal(session.tenant, id_, tokens),
            version=1,
            created_at_ms=now,
            expires_at_ms=None if tokens.expires_at is None else _ms(tokens.expires_at),
            obtained_at_ms=_ms(tokens.obtained_at),
            declined=sorted((kept.asked - granted.scopes) | granted.declined),
            person=deployment.hash("person", login, who),
        )
        names = user_names(deployment, login, granted.ids | {who})
        return Given(grant, carries, names | token_names(deployment, login, tokens))

    def _with_refresh_token(self, tokens: Tokens, known: Grant) -> Tokens:
        """A consent that is given again may bring no refresh token: the one before stays good."""
        if not known.sealed or known.refusal:
            return tokens
        before = self._tokens.open(known, job="connect")
        return msgspec.structs.replace(tokens, refresh_token=before.refresh_token)


def _can(choices: Sequence[Choice], number: int) -> bool:
    return 0 <= number < len(choices) and not choices[number].hindrance


def _account(keys: TenantKeys, session: Session, choice: Choice) -> bytes:
    return keys.hash("account", session.provider, choice.account)


def _connection(
    keys: TenantKeys,
    session: Session,
    choice: Choice,
    parts: Collection[str] | None,
    features: Sequence[Feature],
    granted: Granted,
    account: bytes,
    known: Connection | None,
) -> Connection:
    id_, now = known.id if known else new_id("con"), now_ms()
    if parts is None and known is not None:
        plain = keys.open(Purpose.CONNECTION, id_.encode(), known.sealed)
        chosen = decode_details(plain).parts
    else:
        chosen = tuple(part for part in choice.parts if part.id in (parts or ()))
    details = AccountDetails(choice.account, choice.name, chosen, session.business)
    missing = [f.name for f in features if not granted.scopes.issuperset(f.scopes)]
    return Connection(
        id=id_,
        tenant=session.tenant,
        provider=session.provider,
        account=account,
        sealed=keys.seal(Purpose.CONNECTION, id_.encode(), encode_details(details)),
        status="pending",
        status_reason="",
        created_at_ms=now,
        changed_at_ms=now,
        receives_from_ms=now,
        features=sorted(f.name for f in features),
        missing=sorted(missing),
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
