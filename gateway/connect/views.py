"""What each step shows: from a session to its page."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.responses import Response

from contracts.accounts import Choice
from contracts.causes import UNDELIVERED, kinds
from contracts.connector import Feature, Receives
from contracts.login import Window
from contracts.settings import Settings
from contracts.tokens import Secret
from gateway.connect.browsers import Browser
from gateway.connect.journey import Dialog, Journey
from gateway.connect.rendering import Renderer, Texts, policies_for
from gateway.connect.texts import of_provider
from gateway.connecting import Connecting
from gateway.shapes import time_of
from storage.activity import ActivityStore
from storage.connect_sessions import ANSWERED, CONNECTED, GRANTED, NEW, Session
from storage.connections import Connection, Connections
from storage.database import now_ms

_TROUBLE = ("needs_reauth", "paused", "revoking", "revoked")


_STATES = ("setting_up", "active", "undelivered", "trouble", "later")


class Standing(NamedTuple):
    """A connection on the success page: `state` is `setting_up`, `active`, `undelivered` (the
    provider does not deliver what it was asked to), `trouble`, or `later` (nothing is received of
    this provider yet).
    """

    id: str
    name: str
    state: str
    arrived_at: str | None


class Views:
    """Renders the pages of sessions."""

    def __init__(
        self,
        settings: Settings,
        journey: Journey,
        connections: Connections,
        connecting: Connecting,
        activity: ActivityStore,
        renderer: Renderer,
    ) -> None:
        self._settings, self._journey = settings, journey
        self._connections, self._connecting = connections, connecting
        self._activity, self._renderer = activity, renderer

    def session(
        self, session: Session, browser: Browser, language: str, *, nothing: bool = False
    ) -> Response:
        """The page of the step in which a session is. What was granted is shown in the browser
        that brought it alone; another one may begin anew. `nothing`: nothing was picked.
        """
        action = f"/connect/{browser.token}"
        texts = self.texts(session, language)
        mine = session.browser == browser.hash
        if session.stage == CONNECTED:
            return self.done(session, browser, texts) if mine else self.stray("connected", texts)
        if session.stage == GRANTED and mine:
            return self._pick(session, browser, texts, nothing)
        if session.stage == ANSWERED and mine:
            if (session.until_ms or 0) > now_ms():
                return self._renderer.page("wait", texts)
            return self.start(session, browser, texts, f"{action}/ask", "unfinished")
        problem = session.problem if session.stage == NEW else ""
        return self.start(session, browser, texts, f"{action}/ask", problem)

    def start(
        self, session: Session, browser: Browser, texts: Texts, action: str, problem: str = ""
    ) -> Response:
        """Who asks, what will be read and why; the way to the provider's dialog."""
        again = session.connection is not None
        features = self._journey.features(session)
        values: dict[str, Any] = {
            "title": texts("again.title" if again else "start.title"),
            "lead": texts("again.lead" if again else "start.lead"),
            "heading": texts("again.missing" if again else "start.reads"),
            "features": [_told(session.provider, one, texts) for one in features],
            "names": _listed(session.provider, features, texts),
            "scopes": sorted(self._journey.scopes(session)),
            "policy_url": self._settings.policy_url,
            "policy_version": self._settings.policy_version,
        }
        return self._renderer.page(
            "start",
            texts,
            problem=problem,
            action=action,
            proof=browser.proof,
            back=back(session),
            **values,
        )

    def ask(self, session: Session, dialog: Dialog, language: str) -> Response:
        """To the provider's dialog."""
        if isinstance(dialog.place, str):
            return self._leave(session, dialog.place, language)
        return self._open(session, dialog.place, dialog.state, language)

    def _open(self, session: Session, window: Window, state: Secret, language: str) -> Response:
        """The page from which a provider's own script opens its dialog."""
        return self._renderer.page(
            "window",
            self.texts(session, language),
            policies=policies_for(window),
            window=window,
            state=state.reveal(),
            action=f"/oauth/{session.login}/callback",
            back=back(session),
        )

    def _leave(self, session: Session, url: str, language: str) -> Response:
        """On to the provider's dialog. By a page and not by a redirect: browsers hold those that
        follow a form to its page's `form-action`, and by which hosts a dialog goes is the
        provider's own affair.
        """
        return self._renderer.page("leave", self.texts(session, language), url=url)

    def _pick(self, session: Session, browser: Browser, texts: Texts, nothing: bool) -> Response:
        kept = self._journey.kept(session)
        granted = kept.granted
        whole = self._journey.whole(session, granted.scopes if granted else frozenset())
        missing = [one for one in self._journey.features(session) if one not in whole]
        choices = list(enumerate(kept.choices))
        return self._renderer.page(
            "pick",
            texts,
            able=[(number, choice) for number, choice in choices if not choice.hindrance],
            unable=[(one, _hindrance(one, texts)) for _, one in choices if one.hindrance],
            who=granted.name if granted else "",
            missing=_listed(session.provider, missing, texts),
            trap=session.login == "meta",
            nothing=nothing,
            action=f"/connect/{browser.token}/pick",
            again=f"/connect/{browser.token}/ask",
            proof=browser.proof,
            back=back(session),
        )

    def done(self, session: Session, browser: Browser, texts: Texts) -> Response:
        """That it is connected, and the first message as it arrives."""
        own = of_provider(session.provider, texts.language)
        hint = texts.fill(own["try"]) if "try" in own else texts("done.try")
        receives = self._receives(session)
        return self._renderer.page(
            "done",
            texts,
            connected=[_shown(one) for one in self.standing(session)],
            look=f"/connect/{browser.token}/status",
            lead=texts("done.lead" if receives else "done.lead_later"),
            hint=hint if receives else "",
            states=_STATES,
            back=back(session),
        )

    def standing(self, session: Session) -> list[Standing]:
        """How the connections of a session are."""
        there = [self._connections.get(id_) for id_ in session.connected]
        heard = self._activity.of(session.connected)
        arrived = {
            id_: one.last_at_ms
            for id_, one in heard.items()
            if one.last_at_ms >= (session.until_ms or 0)
        }
        names, receives = self._names(there), self._receives(session)
        return [
            Standing(
                one.id,
                names[one.id],
                _state(one) if receives else _later(one),
                _time(arrived.get(one.id)),
            )
            for one in there
        ]

    def stray(
        self, kind: str, texts: Texts, status: int = 200, links: Sequence[str] = ()
    ) -> Response:
        """What happened to somebody who is on no way of ours."""
        return self._renderer.page("stray", texts, status=status, kind=kind, links=links)

    def texts(self, session: Session, language: str) -> Texts:
        """The texts of a session's pages, its names filled in."""
        login = self._journey.login(session)
        account = ""
        if session.connection is not None:
            there = self._connections.get(session.connection)
            account = masked(self._names([there])[there.id])
        return Texts(
            language,
            business=session.business,
            provider=self._journey.connector(session).title,
            login=login.title,
            account=account,
        )

    def _receives(self, session: Session) -> bool:
        return isinstance(self._journey.connector(session), Receives)

    def _names(self, connections: Sequence[Connection]) -> Mapping[str, str]:
        opened = self._connecting.open(connections)
        return {
            one.connection.id: (one.details.name or one.details.account) if one.details else ""
            for one in opened
        }


def masked(name: str) -> str:
    """The first letter of each word: who owns the account knows it again, and nobody else is told
    a name or an address by a link that stands in messages.
    """
    return re.sub(r"(\w)\w+", r"\1…", name)


def back(session: Session) -> str:
    """The return URL, with how it ended; empty without one."""
    if session.return_url is None:
        return ""
    parts = urlsplit(session.return_url)
    result = "connected" if session.stage == CONNECTED else "cancelled"
    told = urlencode([("result", result), *(("connection", one) for one in session.connected)])
    return urlunsplit(parts._replace(query=f"{parts.query}&{told}" if parts.query else told))


def _told(provider: str, feature: Feature, texts: Texts) -> dict[str, str]:
    own = of_provider(provider, texts.language).get(feature.name, {})
    return {"what": _what(provider, feature, texts), "why": texts.fill(own.get("why", ""))}


def _what(provider: str, feature: Feature, texts: Texts) -> str:
    own = of_provider(provider, texts.language).get(feature.name, {})
    return texts.fill(own.get("what", feature.name))


def _listed(provider: str, features: Sequence[Feature], texts: Texts) -> str:
    """Within a sentence."""
    return "; ".join(_what(provider, one, texts).rstrip(".") for one in features)


def _hindrance(choice: Choice, texts: Texts) -> str:
    key = f"hindrance.{choice.hindrance}"
    return texts(key if texts.has(key) else "hindrance.other")


def _state(connection: Connection) -> str:
    if connection.status in _TROUBLE:
        return "trouble"
    if UNDELIVERED & set(kinds(connection.causes)):
        return "undelivered"
    return "setting_up" if connection.status == "pending" else "active"


def _later(connection: Connection) -> str:
    return "trouble" if connection.status in _TROUBLE else "later"


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else time_of(at_ms)


def _shown(one: Standing) -> dict[str, Any]:
    arrived = f"{one.arrived_at[11:16]} UTC" if one.arrived_at else ""
    return {**one._asdict(), "arrived": arrived}
