"""Backups of the main database, made and restored as operators do it."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import psycopg

from tests.servers import postgres_program


class Backup(Protocol):
    """A backup made of a running database, as operators make it."""

    def make(self) -> None:
        """While everything runs."""

    def restore(self) -> None:
        """While nothing runs; once and again."""


class SqliteBackup:
    """SQLite's own online backup into a second file."""

    def __init__(self, url: str) -> None:
        self._path = Path(url.removeprefix("sqlite:///"))
        self._copy = self._path.with_suffix(".backup")

    def make(self) -> None:
        """As `sqlite3 gateway.db ".backup …"` does."""
        _copy(self._path, self._copy)

    def restore(self) -> None:
        """A new file in the old one's place."""
        for old in self._path.parent.glob(f"{self._path.name}*"):
            old.unlink()
        _copy(self._copy, self._path)


def _copy(source: Path, target: Path) -> None:
    closing = contextlib.closing
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


class PostgresqlBackup:
    """`pg_dump` into a file, and `pg_restore` into an empty database of the same name."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._server, _, self._name = url.rpartition("/")
        self._file = folder / "dump"

    def make(self) -> None:
        """As operators do every night."""
        _run(["pg_dump", "-Fc", "-f", self._file, self._url])

    def restore(self) -> None:
        """Into a database made anew."""
        with psycopg.connect(f"{self._server}/postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {self._name} WITH (FORCE)".encode())
            admin.execute(f"CREATE DATABASE {self._name}".encode())
        _run(["pg_restore", "--exit-on-error", "-d", self._url, self._file])


def _run(command: Sequence[str | Path]) -> None:
    program, *arguments = command
    found = postgres_program(str(program)) or str(program)
    subprocess.run([found, *arguments], check=True, timeout=60)


def backup_of(database_url: str, folder: Path) -> Backup:
    """A backup of the database, kept in `folder` where it is a file of its own."""
    if database_url.startswith("sqlite"):
        return SqliteBackup(database_url)
    return PostgresqlBackup(database_url, folder)
