"""Scopes of Google: what can be asked for, and under which names they are granted."""

API = "https://www.googleapis.com/auth/"
FULL_NAMES = {"email": f"{API}userinfo.email", "profile": f"{API}userinfo.profile"}
"""Short names, and what Google's answers call them."""

SIGN_IN = frozenset({"openid", *FULL_NAMES.values()})
"""Granted with the account itself: they cannot be unticked."""

CALENDAR_LIST = (
    f"{API}calendar",
    f"{API}calendar.readonly",
    f"{API}calendar.calendarlist",
    f"{API}calendar.calendarlist.readonly",
)
"""Any of these lets one list calendars; `calendar.events*` do not."""

GMAIL_PROFILE = (
    "https://mail.google.com/",
    f"{API}gmail.readonly",
    f"{API}gmail.modify",
    f"{API}gmail.compose",
    f"{API}gmail.metadata",
)
"""Any of these lets one read the profile; `gmail.send` does not."""

WORDS = {
    "openid": "Associate you with your personal info on Google",
    FULL_NAMES["email"]: "See your primary Google Account e-mail address",
    FULL_NAMES["profile"]: "See your personal info",
    f"{API}calendar": "See, edit, share and delete all calendars",
    f"{API}calendar.readonly": "See and download any calendar",
    f"{API}calendar.events": "View and edit events on all your calendars",
    f"{API}calendar.events.readonly": "View events on all your calendars",
    f"{API}calendar.events.owned": "See and change events on calendars you own",
    f"{API}calendar.calendarlist": "See and change the list of calendars you subscribe to",
    f"{API}calendar.calendarlist.readonly": "See the list of calendars you subscribe to",
    f"{API}calendar.freebusy": "View your availability in your calendars",
    "https://mail.google.com/": "Read, compose, send and delete all your e-mail",
    f"{API}gmail.readonly": "View your e-mail messages and settings",
    f"{API}gmail.modify": "Read, compose and send e-mails",
    f"{API}gmail.compose": "Manage drafts and send e-mails",
    f"{API}gmail.send": "Send e-mail on your behalf",
    f"{API}gmail.metadata": "View metadata of your e-mail, but not its body",
}


def full(scope: str) -> str:
    """Return the name by which a scope is granted."""
    return FULL_NAMES.get(scope, scope)


def is_gmail(scope: str) -> bool:
    """Whether tokens with the scope die with the account's password."""
    return scope == "https://mail.google.com/" or scope.startswith(f"{API}gmail.")
