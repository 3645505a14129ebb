"""How long a session of connecting lasts."""

from storage.connect_sessions import (
    EXCHANGE_MS,
    LIFE_MS,
    PICK_MS,
    Asked,
    ConnectSessions,
    Session,
)
from storage.database import Database, now_ms

DIALOG_MS = 3_000_000


def test_a_dialog_that_begins_late_can_be_answered_and_picked_from(database: Database) -> None:
    sessions, now = ConnectSessions(database), now_ms()
    begun = now - LIFE_MS + 60_000
    sessions.add(
        Session("cs_1", "acme", "", "whatsapp", "whatsapp", [], None, None, begun, begun + LIFE_MS)
    )
    sessions.ask("cs_1", Asked(b"browser", b"state", b"", "", "en", DIALOG_MS))
    session = sessions.get("cs_1")
    assert session.until_ms is not None
    assert session.until_ms >= now + DIALOG_MS
    assert session.expires_at_ms == session.until_ms + EXCHANGE_MS + PICK_MS
