"""`gateway db restored`: what a backup has forgotten is said, and what was erased stays erased."""

from collections.abc import Callable

from contracts.errors import Conflict, Tampered
from gateway.cli.parts import Parts
from storage.database import now_ms
from storage.erasing import Erasing
from storage.gaps import Gaps
from storage.log import MessageLog
from storage.restoring import advance_numbers, close_sends, held_leases, newest_ms
from storage.revocations import JOURNALED, Revocations
from token_vault import Erasure


def refuse_while_at_work(built: Parts) -> None:
    """Raises `Conflict` while a worker holds leases: what it writes now would be renumbered."""
    if held := held_leases(built.database):
        raise Conflict(
            f"{held} leases are held: stop all processes first, and wait "
            f"{built.settings.lease_seconds:g} s; --force when nothing is running"
        )


def put_right(built: Parts, say: Callable[[str], None]) -> None:
    """Put a restored database right; to be done once, before anything else runs.

    Readers ahead of the log get `log-restored` from now on, what was still to go out is `unknown`,
    the erasure journal is replayed, and workers
    will say `connection.gap` to every connection, from the backup's last change until now.
    """
    database = built.database
    since_ms = newest_ms(database)
    numbers = advance_numbers(database)
    say(f"numbers go on after item {numbers['inbox']} and position {numbers['messages']}")
    end = MessageLog(database).mark_restored()
    say(f"the log ends at position {end.position}; readers ahead of it are told so")
    closed = close_sends(database)
    say(f"sends: {closed} that were still to go out are unknown; none is sent again")
    _replay(built, say)
    if since_ms is None:
        say("no gap to tell: the database is empty")
        return
    Gaps(database).announce_all(since_ms, now_ms(), "restored")
    say("a gap will be told to every connection, as soon as a worker runs")


def _replay(built: Parts, say: Callable[[str], None]) -> None:
    erasing, revocations = Erasing(built.database), Revocations(built.database)
    tenants, contacts, blanked, revoked = 0, 0, 0, 0
    for erasure in built.vault.erasures():
        if erasure.kind == "tenant" and erasure.tenant:
            blanked += erasing.tenant(erasure.tenant)
            tenants += 1
        elif erasure.kind == "contact" and erasure.tenant:
            erased_at_ms = int(erasure.at.timestamp() * 1000)
            blanked += erasing.contact(erasure.tenant, _contact(erasure), erased_at_ms)
            contacts += 1
        elif erasure.kind == JOURNALED:
            at_ms = int(erasure.at.timestamp() * 1000)
            revoked += revocations.again(erasure.detail, at_ms)
    say(f"erasures: {tenants} tenants and {contacts} contacts again, {blanked} messages blanked")
    say(f"revocations: {revoked} connections again, as soon as a worker runs")


def _contact(erasure: Erasure) -> bytes:
    """The journal names a contact by its keyed hash, in hex."""
    try:
        return bytes.fromhex(erasure.detail)
    except ValueError:
        text = f"erasure journal, line {erasure.id}: {erasure.detail!r} is not a contact's hash"
        raise Tampered(text) from None
