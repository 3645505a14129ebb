"""Reconnect links: stable, and made by this deployment alone."""

import pytest

from token_vault import DeploymentKeys, Vault, named_by, reconnect_token, reconnect_url, reconnects
from token_vault.keysets import new_prf


@pytest.fixture
def keys(vault: Vault) -> DeploymentKeys:
    return vault.deployment()


def test_a_link_names_its_connection_in_its_present_life(
    keys: DeploymentKeys, vault: Vault
) -> None:
    token = reconnect_token(keys, "con_one", 7)
    assert token == reconnect_token(vault.deployment(), "con_one", 7)
    assert named_by(token) == "con_one"
    assert reconnects(keys, token, "con_one", 7)
    assert not reconnects(keys, token, "con_one", 8)
    assert not reconnects(keys, token, "con_two", 7)
    url = reconnect_url("https://gateway.example/", keys, "con_one", 7)
    assert url == f"https://gateway.example/connect/again/{token}"


@pytest.mark.parametrize(
    "forged", ["", ".", "con_one", "con_one.", "con_two{proof}", "{token}=", "é"]
)
def test_what_we_did_not_make_names_nothing(keys: DeploymentKeys, forged: str) -> None:
    token = reconnect_token(keys, "con_one", 7)
    made_up = forged.format(token=token, proof=token.removeprefix("con_one"))
    assert not reconnects(keys, made_up, named_by(made_up), 7)


def test_another_deployment_does_not_take_it(keys: DeploymentKeys) -> None:
    token = reconnect_token(keys, "con_one", 7)
    assert not reconnects(DeploymentKeys(new_prf()), token, "con_one", 7)
