"""How gates of rate limits are named without telling whose they are."""

from collections.abc import Callable

from contracts.gates import Gate
from token_vault.vault import Vault


def gate_names(vault: Vault) -> Callable[[Gate], bytes]:
    """A gate's keyed hash. What it returns raises `VaultError` while the key is away."""
    return lambda gate: vault.deployment().hash("gate", gate.provider, gate.asset)
