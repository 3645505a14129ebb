"""A person's way through connecting, step by step; synchronous, for the edge's threads."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from connectors.kit.transport.hosts import rerouted
from connectors.registry import Registry
from contracts.accounts import Offers
from contracts.connector import Connector, Feature
from contracts.errors import (
    BeingRevoked,
    GatewayError,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    Permanent,
    ProviderError,
    Reauthorize,
    Retryable,
)
from contracts.login import (
    Code,
    Consent,
    OAuthLogin,
    RedirectLogin,
    Window,
    WindowLogin,
    redirect_uri,
)
from contracts.settings import Settings
from contracts.tokens import Secret
from gateway.connect.browsers import Browser, digest, new_token
from gateway.connect.picking import Picking
from storage.connect_sessions import GRANTED, NEW, Asked, ConnectSessions, Session
from storage.connections import Connections
from token_vault import Kept, Vault, open_kept, seal_kept

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger()

_REFUSALS: Final = frozenset({"access_denied", "user_denied", "user_cancelled_login"})


class Stray(GatewayError):
    """An answer of a provider that belongs to no dialog of this browser; `kind` is a key of the
    pages' texts: `unknown` (forged, used, or begun anew since), `late`, `foreign`.
    """

    reason = "stray-answer"

    def __init__(self, kind: str) -> None:
        super().__init__(f"the answer is {kind}")
        self.kind = kind


class Answer(NamedTuple):
    """What came to the callback."""

    login: str
    state: str
    code: str
    error: str


class Dialog(NamedTuple):
    """A dialog that begins: an address to which the browser goes, or a window that a page opens;
    then the page sends `state` with what comes of it.
    """

    place: str | Window
    state: Secret


class Journey:
    """The steps of all sessions of one edge."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        vault: Vault,
        sessions: ConnectSessions,
        connections: Connections,
        picking: Picking,
        client: Callable[["httpx.Auth | None"], "httpx.Client"],
    ) -> None:
        """`client` lends clients of the one transport; it is made when first needed."""
        self._settings, self._registry, self._vault = settings, registry, vault
        self.sessions, self._connections, self._picking = sessions, connections, picking
        self._client = client

    def ask(self, session: Session, browser: Browser, language: str) -> Dialog:
        """Begin a dialog. Every try before is void.

        Raises `NotFound` when the session is over, `Misconfigured` when its login is off.
        """
        login = self.login(session)
        state, verifier = Secret(new_token()), Secret(new_token())
        kept = Kept(self._asked(session), verifier if login.takes_pkce else None)
        consent = Consent(
            state=state,
            redirect_uri=redirect_uri(self._settings.public_url, session.login),
            scopes=kept.asked,
            challenge=_challenge(verifier) if login.takes_pkce else None,
            again=session.connection is not None or session.stage != NEW or session.problem != "",
            language=language,
        )
        sealed = seal_kept(self._vault.tenant(session.tenant), session.id, kept)
        policy = self._settings.policy_version or ""
        hashed, life_ms = digest(state.reveal()), login.dialog_s * 1000
        place = self._place(login, consent)
        asked = Asked(browser.hash, hashed, sealed, policy, language, life_ms)
        self.sessions.ask(session.id, asked)
        return Dialog(place, state)

    def _place(self, login: OAuthLogin, consent: Consent) -> str | Window:
        sandbox = self._settings.sandbox_url
        if isinstance(login, RedirectLogin):
            return rerouted(login.consent_url(consent), sandbox)
        if not isinstance(login, WindowLogin):
            raise Misconfigured(f"login {login.name} has no dialog")
        window = login.window(consent)
        origins = dict.fromkeys(rerouted(origin, sandbox) for origin in window.origins)
        return Window(rerouted(window.script, sandbox), tuple(origins), window.values)

    def answered(self, answer: Answer, session: Session) -> None:
        """Exchange the code of an answer that was `taken`, look which accounts there are. Asks the
        provider. Whatever comes of it stands in the session, whose page tells it.
        """
        if answer.error or not answer.code:
            refused = answer.error in _REFUSALS
            self.sessions.end(session, "refused" if refused else "provider")
            return
        try:
            self._granted(session, answer.code)
        except (ProviderError, BeingRevoked, NotFound) as error:
            self.sessions.end(session, _problem(error))
            log.info("connect.ended", login=session.login, reason=error.reason)

    def taken(
        self, answer: Answer, known: Callable[[str], Browser | None]
    ) -> tuple[Browser, Session]:
        """Take the provider's answer: whose it is. `known` gives this browser's part in a session.
        Raises `Stray` for an answer that is none of this browser's.
        """
        state = digest(answer.state)
        asked = self.sessions.by_state(state)
        if asked is None or asked.login != answer.login:
            raise Stray("unknown")
        browser = known(asked.id)
        if browser is None or browser.hash != asked.browser:
            raise Stray("foreign")
        session = self.sessions.take(answer.login, state, browser.hash)
        if session is None:
            raise Stray("late" if self.sessions.by_state(state) else "unknown")
        return browser, session

    def _granted(self, session: Session, code: str) -> None:
        """Raises what the exchange and the listing of accounts raise."""
        login, kept = self.login(session), self.kept(session)
        uri = redirect_uri(self._settings.public_url, session.login)
        by_redirect = isinstance(login, RedirectLogin)
        given = Code(Secret(code), uri if by_redirect else None, kept.verifier)
        granted = login.exchange(self._client(None), given)
        if not self.whole(session, granted.scopes):
            self.sessions.end(session, "declined")
            return
        carrying = self._client(login.carry(granted.tokens))
        choices = tuple(self._offers(session).accounts(carrying, granted))
        kept = Kept(kept.asked, None, granted, choices)
        if session.connection is not None:
            self._again(session, kept)
        else:
            sealed = seal_kept(self._vault.tenant(session.tenant), session.id, kept)
            self.sessions.grant(session, sealed)

    def _again(self, session: Session, kept: Kept) -> None:
        """Consent to what was missing. The account is known: nothing waits to be picked, so that
        nobody can pick another.
        """
        same = self._picking.same_account(session, kept)
        if same is None:
            self.sessions.end(session, "other_account")
        else:
            self._connect(session, kept, {same: None})

    def pick(self, session: Session, picked: Mapping[int, frozenset[str] | None]) -> None:
        """Connect what was picked: numbers of choices, each with the ids of its parts (None: all
        that were ticked to begin with). One that cannot be connected is left out.

        Raises `NotFound` when nothing is to be picked, `InvalidInput` when nothing was.
        """
        _check_picks(session)
        self._connect(session, self.kept(session), picked)

    def _connect(
        self, session: Session, kept: Kept, picked: Mapping[int, frozenset[str] | None]
    ) -> None:
        try:
            self._picking.connect(session, kept, picked, self.features(session))
        except BeingRevoked:
            self.sessions.end(session, "being_revoked")

    def parts(self, session: Session) -> dict[int, list[str]]:
        """The choices that wait in a session by number, each with the ids of its parts."""
        _check_picks(session)
        choices = self.kept(session).choices
        return {n: [part.id for part in choice.parts] for n, choice in enumerate(choices)}

    # -- what a session is about --------------------------------------------------------------

    def kept(self, session: Session) -> Kept:
        """What the session keeps sealed. Raises `NotFound` when it keeps nothing."""
        if session.sealed is None:
            raise NotFound("nothing is waiting in this session")
        return open_kept(self._vault.tenant(session.tenant), session.id, session.sealed)

    def connector(self, session: Session) -> Connector:
        """Raises `Misconfigured` when it is off by now."""
        found = self._registry.connectors.get(session.provider)
        if found is None:
            raise Misconfigured(f"provider {session.provider} is off")
        return found

    def login(self, session: Session) -> OAuthLogin:
        """Raises `Misconfigured` when it is off by now."""
        found = self._registry.logins.get(session.login)
        if not isinstance(found, OAuthLogin):
            raise Misconfigured(f"login {session.login} is off")
        return found

    def features(self, session: Session) -> list[Feature]:
        """The features that were chosen, as the connector describes them."""
        return [f for f in self.connector(session).features if f.name in session.features]

    def whole(self, session: Session, scopes: frozenset[str]) -> list[Feature]:
        """Those of them that `scopes` are enough for."""
        return [f for f in self.features(session) if scopes.issuperset(f.scopes)]

    def scopes(self, session: Session) -> frozenset[str]:
        """All that the login's dialog asks for."""
        return self._asked(session) | self.login(session).always_asks

    def _offers(self, session: Session) -> Offers:
        connector = self.connector(session)
        if not isinstance(connector, Offers):
            raise Misconfigured(f"provider {session.provider} is not connected by consent")
        return connector

    def _asked(self, session: Session) -> frozenset[str]:
        """What the features need; at a login that does not accumulate also what the connection has,
        since its tokens are replaced.
        """
        names = {*session.features}
        if session.connection is not None and not self.login(session).accumulates:
            names |= {*self._connections.get(session.connection).features}
        features = (one for one in self.connector(session).features if one.name in names)
        return frozenset(scope for feature in features for scope in feature.scopes)


def _check_picks(session: Session) -> None:
    """A session for one connection has nothing to pick, whatever step it is in."""
    if session.stage != GRANTED or session.connection is not None:
        raise NotFound("nothing is to be picked")


def _challenge(verifier: Secret) -> str:
    """PKCE's, of the method S256 (RFC 7636 §4.2)."""
    import base64

    return base64.urlsafe_b64encode(digest(verifier.reveal())).decode().rstrip("=")


def _problem(error: GatewayError) -> str:
    """The key of what the page says."""
    if isinstance(error, Reauthorize):
        return "code"
    if isinstance(error, Retryable | OutcomeUnknown):
        return "away"
    if isinstance(error, Permanent):
        log.error("connect.set_up_refused", reason=error.reason, code=error.code)
        return "setup"
    return "being_revoked" if isinstance(error, BeingRevoked) else "provider"
