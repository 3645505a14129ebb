"""A privacy policy that has changed since its consent is said once for each connection."""

import sqlalchemy as sa

from contracts.content import AccountNotice
from storage.connecting_schema import consents
from storage.connections import Connection
from storage.grants import Grants
from storage.inspections import Inspections
from tests.rig import Rig
from tests.workers.granted import consent, tokens
from workers.policy import Policy


def accepted(rig: Rig, page: Connection, version: str, *, at_ms: int = 1) -> None:
    """The owner of `page` consented under a version of the policy."""
    (grant,) = Grants(rig.database).of_connection(page.id)
    row = {"tenant": "acme", "grant": grant.id, "login": "fake", "policy": version, "at_ms": at_ms}
    lists: dict[str, list[str]] = {"features": [], "asked": [], "granted": [], "declined": []}
    with rig.database.write() as connection:
        new = sa.insert(consents).values({**row, **lists, "id": f"cns_{at_ms}"})
        connection.execute(new)


def policy(rig: Rig, version: str) -> Policy:
    return Policy(version, Grants(rig.database), Inspections(rig.database))


def test_another_version_than_the_accepted_one_is_told(rig: Rig) -> None:
    page = rig.connect("acme", "10")
    consent(rig, tokens(), [page])
    assert policy(rig, "v2").notice(page) is None, "nobody was asked"
    accepted(rig, page, "v1")
    assert policy(rig, "").notice(page) is None
    assert policy(rig, "v1").notice(page) is None
    notice = policy(rig, "v2").notice(page)
    assert isinstance(notice, AccountNotice)
    assert (notice.notice, notice.severity) == ("policy_changed", "info")
    assert notice.detail == "The privacy policy is of version v2 now; accepted was version v1."
    accepted(rig, page, "v2", at_ms=2)
    assert policy(rig, "v2").notice(page) is None, "the newest consent counts"
