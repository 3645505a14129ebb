"""The pages of a login: plain HTML, no script, made for keyboard and phone.

A dialog has no session: who is asked for what stands in its address, and each step checks it anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

PERSON = "sandbox_person"
"""The parameter that says who sits before the screen: a real provider knows by its cookie."""

# No form-action: browsers hold the redirect that follows a form to it, and that goes elsewhere.
CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Tick:
    """A box to tick: the form sends `name=value`."""

    name: str
    value: str
    label: str
    hint: str = ""
    ticked: bool = True
    fixed: bool = False
    """Cannot be unticked; it is not sent either."""


@dataclass(frozen=True)
class Choice:
    """A person who can go on with the dialog."""

    id: str
    name: str
    hint: str


def show(brand: str, title: str, body: str, status: int = 200) -> Response:
    """Return a page of `brand` (`facebook`, `instagram`, `google`); `body` is HTML."""
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        '<link rel="icon" href="/static/icon.svg" type="image/svg+xml">\n'
        '<link rel="stylesheet" href="/static/dialog.css">\n</head>\n'
        f'<body class="{escape(brand)}">\n<main>\n'
        f'<p class="brand">{escape(brand.capitalize())} <small>played by the sandbox</small></p>\n'
        f"<h1>{escape(title)}</h1>\n{body}</main>\n</body>\n</html>\n"
    )
    headers = {"Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(page, status, headers)


def refusal(brand: str, title: str, says: str, status: int = 400) -> Response:
    """Return the provider's own error page: nothing goes back to the app."""
    return show(brand, title, f'<p role="alert">{escape(says)}</p>\n', status)


def chooser(request: Request, brand: str, title: str, people: Iterable[Choice]) -> Response:
    """Return the step that asks who it is: a link for each person."""
    links = "".join(
        f'<li><a href="{escape(_as(request, one.id))}"><b>{escape(one.name)}</b> '
        f"<small>{escape(one.hint)}</small></a></li>\n"
        for one in people
    )
    return show(brand, title, f'<ul class="people">\n{links}</ul>\n')


def consent(
    brand: str, title: str, intro: str, groups: Sequence[tuple[str, Sequence[Tick]]]
) -> Response:
    """Return the step that asks what to allow; it posts to its own address.

    `groups`: a legend and its boxes. The form sends the ticked ones, and `decision` as `continue`
    or `cancel`.
    """
    fields = "".join(_fieldset(legend, ticks) for legend, ticks in groups if ticks)
    body = (
        f'<p>{escape(intro)}</p>\n<form method="post">\n{fields}'
        '<div class="decide">\n'
        '<button name="decision" value="continue" class="yes">Continue</button>\n'
        '<button name="decision" value="cancel">Cancel</button>\n</div>\n</form>\n'
    )
    return show(brand, title, body)


def back(redirect_uri: str, answer: Iterable[tuple[str, str]], fragment: str = "") -> Response:
    """Return the redirect to the app: `answer` is added to the query that is there."""
    parts = urlsplit(redirect_uri)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *answer]
    url = urlunsplit(parts._replace(query=urlencode(query), fragment=fragment))
    return RedirectResponse(url, 302)


def site_of(redirect_uri: str) -> str:
    """Return the host to which a person is sent back, as the pages name it."""
    return urlsplit(redirect_uri).netloc


def _as(request: Request, person: str) -> str:
    """The dialog's own address, with somebody before the screen."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name != PERSON]
    return f"{request.url.path}?{urlencode([*kept, (PERSON, person)])}"


def _fieldset(legend: str, ticks: Sequence[Tick]) -> str:
    boxes = "".join(_box(tick) for tick in ticks)
    return f"<fieldset>\n<legend>{escape(legend)}</legend>\n{boxes}</fieldset>\n"


def _box(tick: Tick) -> str:
    state = (" checked" if tick.ticked or tick.fixed else "") + (" disabled" if tick.fixed else "")
    hint = f" <small>{escape(tick.hint)}</small>" if tick.hint else ""
    return (
        f'<label><input type="checkbox" name="{escape(tick.name)}" '
        f'value="{escape(tick.value)}"{state}> <span>{escape(tick.label)}{hint}</span></label>\n'
    )
