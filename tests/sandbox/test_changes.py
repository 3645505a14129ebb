"""Leads and other changes: delivered to who is subscribed, and looked up by who may."""

import json

from tests.sandbox.logins import Login
from tests.sandbox.stage import PAGE, Receiver

LEADS = "pages_show_list,pages_manage_metadata,leads_retrieval"


def test_a_lead_is_told_by_its_id_and_looked_up(login: Login, told: Receiver) -> None:
    token = login.page_token(login.facebook(scope=LEADS), PAGE)
    made = login.control(f"facebook/pages/{PAGE}/leads", fields={"name": "Ada", "days": ["a", "b"]})
    [post] = told.wait_for(1)
    [change] = json.loads(post.body)["entry"][0]["changes"]
    assert (change["field"], change["value"]["leadgen_id"]) == ("leadgen", made["id"])
    assert "field_data" not in change["value"]
    lead = login.graph("GET", f"/{made['id']}", token, fields="field_data").json()
    assert lead["field_data"] == [
        {"name": "name", "values": ["Ada"]},
        {"name": "days", "values": ["a", "b"]},
    ]
    refused = login.graph("GET", f"/{made['id']}", token, fields="campaign_id").json()
    assert refused["error"]["code"] == 100


def test_who_may_not_read_leads_is_told_so(login: Login) -> None:
    token = login.page_token(login.facebook(), PAGE)
    made = login.control(f"facebook/pages/{PAGE}/leads")
    answer = login.graph("GET", f"/{made['id']}", token, fields="field_data")
    assert answer.json()["error"]["code"] == 200


def test_any_change_goes_out_as_it_was_given(login: Login, told: Receiver) -> None:
    value = {"item": "comment", "verb": "add", "post_id": "1_1", "comment_id": "1_2"}
    login.control(f"facebook/pages/{PAGE}/changes", field="feed", value=value)
    [post] = told.wait_for(1)
    document = json.loads(post.body)
    assert document["object"] == "page"
    assert document["entry"][0]["changes"] == [{"field": "feed", "value": value}]
    assert document["entry"][0]["time"] < 10**11
