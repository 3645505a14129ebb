"""Reconnect links: stable, and made by this deployment alone."""

import pytest

from token_vault import DeploymentKeys, Vault, reconnect_token, reconnect_url, reconnects
from token_vault.keysets import new_prf


@pytest.fixture
def keys(vault: Vault) -> DeploymentKeys:
    return vault.deployment()


def test_a_link_names_its_connection_for_good(keys: DeploymentKeys, vault: Vault) -> None:
    token = reconnect_token(keys, "con_one")
    assert token == reconnect_token(vault.deployment(), "con_one")
    assert reconnects(keys, token) == "con_one"
    url = reconnect_url("https://gateway.example/", keys, "con_one")
    assert url == f"https://gateway.example/connect/again/{token}"


@pytest.mark.parametrize(
    "forged", ["", ".", "con_one", "con_one.", "con_two{proof}", "{token}=", "é"]
)
def test_what_we_did_not_make_names_nothing(keys: DeploymentKeys, forged: str) -> None:
    token = reconnect_token(keys, "con_one")
    proof = token.removeprefix("con_one")
    assert reconnects(keys, forged.format(token=token, proof=proof)) is None


def test_another_deployment_does_not_take_it(keys: DeploymentKeys) -> None:
    assert reconnects(DeploymentKeys(new_prf()), reconnect_token(keys, "con_one")) is None
