"""A client of the sandbox's logins: the browser before a dialog, and the server that calls APIs."""

import re
from typing import Any, TypedDict
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

from tests.sandbox.stage import INSTAGRAM_SECRET, SECRET

FACEBOOK, INSTAGRAM, GOOGLE = "1001", "1002", "1003.apps.googleusercontent.com"
GOOGLE_SECRET = "google-secret"
OLENA, MARCO, AMARA = "100000000000001", "100000000000002", "100000000000003"
ACCOUNT, ACCOUNT_SCOPED = "17841400000000001", "26000000000000001"
SUB = "108000000000000000001"
API = "https://www.googleapis.com/auth/"

Json = dict[str, Any]


class Apps(TypedDict):
    """The ids and secrets of the settings."""

    app_id: str
    instagram_app_id: str
    instagram_app_secret: str
    google_client_id: str
    google_client_secret: str


APPS = Apps(
    app_id=FACEBOOK,
    instagram_app_id=INSTAGRAM,
    instagram_app_secret=INSTAGRAM_SECRET,
    google_client_id=GOOGLE,
    google_client_secret=GOOGLE_SECRET,
)


class Login:
    """Goes through dialogs, calls APIs under the providers' names, and plays the people."""

    def __init__(self, address: str, gateway: str) -> None:
        self.address, self.gateway = address, gateway
        self.http = httpx.Client(base_url=address, timeout=20, trust_env=False)

    def redirect_uri(self, login: str) -> str:
        """The address that is registered for a login."""
        return f"{self.gateway}/oauth/{login}/callback"

    def call(
        self, method: str, host: str, path: str, token: str | None = None, **given: Any
    ) -> httpx.Response:
        """Call an API as a server does; `given`: httpx's `params`, `data`, `auth`."""
        headers = {"host": host} | ({} if token is None else {"authorization": f"Bearer {token}"})
        return self.http.request(method, path, headers=headers, **given)

    def graph(
        self, method: str, path: str, token: str | None = None, **params: object
    ) -> httpx.Response:
        """Call graph.facebook.com."""
        return self.call(
            method, "graph.facebook.com", f"/v24.0{path}", token, params=params or None
        )

    def control(self, path: str, /, **fields: object) -> Json:
        """POST to the sandbox's own API; fail on an error."""
        answer = self.http.post(f"/api/{path}", json=fields)
        assert answer.is_success, answer.text
        document: Json = answer.json()
        return document

    def statuses(self) -> list[str]:
        """The statuses of the newest webhooks."""
        deliveries = self.http.get("/api/deliveries?limit=500").json()["deliveries"]
        return [record["status"] for record in deliveries]

    def state(self, login: str) -> Json:
        """What is left at a provider."""
        document: Json = self.http.get("/api/state").json()[login]
        return document

    def ask_facebook(self, person: str | None = OLENA, **changed: str | None) -> Json:
        """The query of Facebook's dialog."""
        query = {
            "client_id": FACEBOOK,
            "redirect_uri": self.redirect_uri("meta"),
            "response_type": "code",
            "state": "s1",
            "config_id": "7",
            "sandbox_person": person,
        }
        return _present(query | changed)

    def ask_instagram(self, account: str | None = ACCOUNT, **changed: str | None) -> Json:
        """The query of Instagram's dialog."""
        query = {
            "client_id": INSTAGRAM,
            "redirect_uri": self.redirect_uri("instagram"),
            "response_type": "code",
            "state": "s1",
            "scope": "instagram_business_basic,instagram_business_manage_messages",
            "sandbox_person": account,
        }
        return _present(query | changed)

    def ask_google(self, person: str | None = SUB, **changed: str | None) -> Json:
        """The query of Google's consent screen."""
        query = {
            "client_id": GOOGLE,
            "redirect_uri": self.redirect_uri("google"),
            "response_type": "code",
            "state": "s1",
            "scope": f"openid email {API}calendar.readonly",
            "access_type": "offline",
            "sandbox_person": person,
        }
        return _present(query | changed)

    def decide(self, path: str, query: Json, **ticked: object) -> httpx.Response:
        """Press Continue with these boxes ticked, or `decision="cancel"`."""
        return self.http.post(path, params=query, data={"decision": "continue", **ticked})

    def facebook(self, person: str = OLENA, scope: str | None = None, **ticked: object) -> str:
        """Connect at Facebook with everything ticked that is offered; returns the user token.
        `scope`: what is asked for, in place of a Configuration.
        """
        asked: dict[str, str | None] = {"config_id": None, "scope": scope} if scope else {}
        query = self.ask_facebook(person, **asked)
        offered = boxes(self.http.get("/v24.0/dialog/oauth", params=query))
        code = query_of(self.decide("/v24.0/dialog/oauth", query, **{**offered, **ticked}))["code"]
        answer = self.exchange_facebook(code)
        assert answer.is_success, answer.text
        return str(answer.json()["access_token"])

    def exchange_facebook(self, code: str, **changed: str) -> httpx.Response:
        """A code of Facebook's for a token."""
        params = {
            "client_id": FACEBOOK,
            "client_secret": SECRET,
            "code": code,
            "redirect_uri": self.redirect_uri("meta"),
        }
        return self.graph("GET", "/oauth/access_token", **(params | changed))

    def page_token(self, user_token: str, page: str) -> str:
        """A Page's token, for a person's."""
        answer = self.graph("GET", f"/{page}", user_token, fields="access_token")
        return str(answer.json()["access_token"])

    def instagram(self, account: str = ACCOUNT) -> str:
        """Connect at Instagram; returns the token of 60 days."""
        query = self.ask_instagram(account)
        scope = "instagram_business_manage_messages"
        code = query_of(self.decide("/oauth/authorize", query, scope=scope))["code"]
        short = self.exchange_instagram(code).json()["data"][0]["access_token"]
        return str(self.lasting(short).json()["access_token"])

    def exchange_instagram(self, code: str, **changed: str) -> httpx.Response:
        """A code of Instagram's for a token of an hour."""
        form = {
            "client_id": INSTAGRAM,
            "client_secret": INSTAGRAM_SECRET,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri("instagram"),
        }
        return self.call("POST", "api.instagram.com", "/oauth/access_token", data=form | changed)

    def lasting(self, token: str) -> httpx.Response:
        """A token of an hour for one of 60 days."""
        params = {"grant_type": "ig_exchange_token", "client_secret": INSTAGRAM_SECRET}
        return self.ig("GET", "/access_token", token, **params)

    def ig(self, method: str, path: str, token: str | None = None, **params: str) -> httpx.Response:
        """Call graph.instagram.com."""
        return self.call(method, "graph.instagram.com", path, token, params=params or None)

    def google(self, *scopes: str, **changed: str | None) -> Json:
        """Connect at Google with the scopes ticked; returns what the token endpoint answered."""
        query = self.ask_google(**changed)
        answer = self.decide("/o/oauth2/v2/auth", query, scope=list(scopes))
        answer = self.exchange_google(query_of(answer)["code"])
        assert answer.is_success, answer.text
        document: Json = answer.json()
        return document

    def exchange_google(self, code: str, **changed: str) -> httpx.Response:
        """A code of Google's for tokens."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri("google"),
        }
        return self.google_token(**(form | changed))

    def google_token(self, **form: str) -> httpx.Response:
        """POST to Google's token endpoint, as the client."""
        auth = (GOOGLE, GOOGLE_SECRET)
        return self.call("POST", "oauth2.googleapis.com", "/token", data=form, auth=auth)


def query_of(answer: httpx.Response) -> dict[str, str]:
    """The query with which a dialog sent the browser back."""
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query, strict_parsing=True))


def boxes(page: httpx.Response) -> dict[str, list[str]]:
    """The ticked boxes of a dialog, by name, as a browser would send them."""
    found = re.findall(r'name="(\w+)" value="([^"]+)" checked>', page.text)
    return {name: [value for other, value in found if other == name] for name, _ in found}


def params_of(url: str) -> dict[str, list[str]]:
    """The query of an address."""
    return parse_qs(urlsplit(url).query)


def _present(query: dict[str, str | None]) -> Json:
    return {name: value for name, value in query.items() if value is not None}
