"""What commands need, built from the settings when it is first asked for."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import Misconfigured
from contracts.settings import Settings, environment, load
from gateway.cli.beside import known

if TYPE_CHECKING:
    from gateway.connecting import Connecting
    from gateway.fit import Fit
    from storage.database import Database
    from token_vault import Vault


def make_data_dir(data_dir: Path) -> Path:
    """The data directory, made when it is not there. Raises `Misconfigured`."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"GATEWAY_DATA_DIR: {error.strerror}: {data_dir}") from None
    return data_dir


class Parts:
    """The parts of one command; imports what it builds only then, so that commands start fast."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raises `Misconfigured`."""
        self.environ = environ
        self.settings = load(Settings, environ)
        self._closing = ExitStack()

    @cached_property
    def any_database(self) -> "Database":
        """The main database, whatever its schema."""
        from storage.pooler import open_database

        database = open_database(self.settings, pool_size=2)
        self._closing.callback(database.close)
        return database

    @cached_property
    def database(self) -> "Database":
        """The main database. Raises `Misconfigured` when its schema is older than this build's."""
        from storage import migrate

        if not migrate.is_ready(self.any_database):
            raise Misconfigured("the database is not set up for this version: gateway db upgrade")
        return self.any_database

    @cached_property
    def vault(self) -> "Vault":
        """The vault."""
        from token_vault import open_vault

        vault = open_vault(self.settings)
        self._closing.callback(vault.close)
        return vault

    @cached_property
    def connecting(self) -> "Connecting":
        """Adds and opens connections."""
        from connectors.registry import PROVIDERS
        from gateway.connecting import Connecting
        from storage.connections import Connections

        names = {provider.connector.name for provider in PROVIDERS}
        return Connecting(Connections(self.database), self.vault, names)

    @cached_property
    def fit(self) -> "Fit":
        """Whether the key store belongs to the database."""
        from gateway.fit import Fit
        from storage.connections import Connections

        return Fit(self.vault, Connections(self.database).tenants)

    def off(self) -> Mapping[str, str]:
        """Providers that are off, and the setting that each lacks. Raises `Misconfigured`."""
        from connectors.registry import build

        return build(self.environ).off

    def close(self) -> None:
        """Let go of what was opened."""
        self._closing.close()


@contextmanager
def parts(environ: Mapping[str, str] | None = None) -> Iterator[Parts]:
    """The parts of the settings in `environ` (default: the environment over `.env`, over what a run
    beside has made up).
    """
    built = Parts(known(environment()) if environ is None else environ)
    try:
        yield built
    finally:
        built.close()
