"""Rotation: a worker re-seals a filled log under new data keys; a key store is re-wrapped."""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from benchmarks.deployment import ROOT, Deployment, deployment
from benchmarks.figures import Figure, Row, alternate, at_most
from benchmarks.filling import fill_log
from benchmarks.plan import Plan
from benchmarks.processes import Samples
from storage.resealing import BATCH_ROWS
from storage.rotations import Rotations, Round
from storage.schema import messages
from storage.sealed import SEALED
from tests.processes import Process
from tests.services import fresh_database
from token_vault import Kek, Keks, KeyStore, Purpose, Vault, keysets, load_kek
from token_vault.keystore import KeyRow

TENANTS: Final = 10
QUICK_ROWS: Final = 20_000
SAMPLE: Final = 10_000
"""Values of the yardsticks."""
KEYS: Final = 10_000
LOOK_S: Final = 0.1
PARTS: Final = 4
"""The run is cut into so many parts, so that it shows whether it grows slower."""
WORKER_MB: Final = 200.0


def run(plan: Plan) -> Row:
    """For each database: values re-sealed by a worker, its memory, and keys re-wrapped."""
    figures: list[Figure] = []
    notes: list[str] = []
    rows = plan.rows if plan.scale == 1.0 else QUICK_ROWS
    for kind in plan.databases:
        with deployment(kind) as gateway:
            gateway.connect(TENANTS)
            fill_log(gateway, rows, plan.on(kind))
            found, note = _resealed(gateway, plan)
            figures += found
            notes.append(note)
            figures.append(_rewrapped(gateway, plan))
            figures.append(_command_memory(gateway, plan))
    return Row(figures=figures, notes=notes)


# -- values -------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """How far the worker was at a moment."""

    at_s: float
    resealed: int


def _resealed(gateway: Deployment, plan: Plan) -> tuple[list[Figure], str]:
    yardsticks = {"open and seal alone": _in_memory(gateway), "UPDATE alone": _updates(gateway)}
    alone = alternate(yardsticks, PARTS, plan.on(gateway.name))
    rotations = Rotations(gateway.database)
    rotations.order(page.tenant for page in gateway.pages)
    with gateway.worker() as worker, Samples(worker) as memory:
        seen = [*_watched(rotations, plan.on(gateway.name))]
    total, took_s = seen[-1].resealed, seen[-1].at_s - seen[0].at_s
    rates = _rates(seen)
    figures = [
        Figure(
            what=f"values re-sealed by a worker, {gateway.name}",
            unit="values/s",
            values=rates,
            yardstick=name,
            yardstick_values=values,
        )
        for name, values in alone.items()
    ]
    figures.append(
        Figure(
            what=f"memory of the worker meanwhile, {gateway.name}",
            unit="MB",
            values=memory.quarter(3),
            yardstick="second quarter",
            yardstick_values=memory.quarter(1),
            target=at_most(WORKER_MB),
        )
    )
    first_to_last = ", ".join(f"{rate:,.0f}" for rate in rates)
    note = (
        f"{gateway.name}: {total:,} values in {took_s:.0f} s ({first_to_last}/s from first to last "
        f"quarter), worker at most {max(memory.taken):.0f} MB"
    )
    return figures, note


def _watched(rotations: Rotations, progress: Callable[[str], None]) -> Iterator[Seen]:
    """The worker's round from its first look to its last."""
    while True:
        time.sleep(LOOK_S)
        found: Round | None = rotations.last_round()
        if found is not None:
            yield Seen(time.perf_counter(), found.resealed)
            progress(f"{found.resealed:,} of {found.total:,} values")
            if found.finished_at_ms is not None:
                return


def _rates(seen: Sequence[Seen]) -> list[float]:
    """Values/s in each part of what was re-sealed."""
    total = seen[-1].resealed
    ends = [next(s for s in seen if s.resealed >= total * n // PARTS) for n in range(PARTS + 1)]
    return [
        (later.resealed - earlier.resealed) / (later.at_s - earlier.at_s)
        for earlier, later in itertools.pairwise(ends)
    ]


def _sample(gateway: Deployment) -> list[dict[str, Any]]:
    query = sa.select(messages).order_by(messages.c.position).limit(SAMPLE)
    with gateway.database.read() as connection:
        return [{**row} for row in connection.execute(query).mappings()]


def _in_memory(gateway: Deployment) -> Callable[[], float]:
    """Values/s of the same values opened and sealed in this thread, without a database."""
    column, rows = SEALED[0], _sample(gateway)

    def measure() -> float:
        began = time.perf_counter()
        for row in rows:
            keys, id_ = gateway.vault.tenant(row["tenant"]), column.id_of(row)
            keys.seal(Purpose.MESSAGE, id_, keys.open(Purpose.MESSAGE, id_, row["sealed"]))
        return len(rows) / (time.perf_counter() - began)

    return measure


def _updates(gateway: Deployment) -> Callable[[], float]:
    """Rows/s of plain UPDATEs of the same rows by their key, a commit for as many as the worker
    writes in one.
    """
    rows = [{"its_key": row["position"], "new": row["sealed"]} for row in _sample(gateway)]
    update = sa.update(messages).where(messages.c.position == sa.bindparam("its_key"))
    update = update.values(sealed=sa.bindparam("new"))

    def measure() -> float:
        began = time.perf_counter()
        for first in range(0, len(rows), BATCH_ROWS):
            with gateway.database.write() as connection:
                connection.execute(update, rows[first : first + BATCH_ROWS])
        return len(rows) / (time.perf_counter() - began)

    return measure


# -- keys ---------------------------------------------------------------------------------------


def _rewrapped(gateway: Deployment, plan: Plan) -> Figure:
    """Keys re-wrapped from one keyring to another and back, against the same in one thread without
    a database.
    """
    one, two = (_kek(gateway, name) for name in ("one", "two"))
    turns = itertools.cycle([Keks(two, one), Keks(one, two)])
    keyset = keysets.new_aead()
    rows = [_new(Keks(one), str(n), keyset) for n in range(plan.amount(KEYS))]

    def alone() -> float:
        keks = Keks(two, one)
        began = time.perf_counter()
        for row in rows:
            keks.wrap(row, keks.unwrap(row))
        return len(rows) / (time.perf_counter() - began)

    with _keystore(gateway) as store:
        store.add(rows)

        def rewrapped() -> float:
            rotation = Vault(store, next(turns)).rotation
            began = time.perf_counter()
            *_, last = rotation.rewrap()
            assert last.done == len(rows)
            return len(rows) / (time.perf_counter() - began)

        measures = {"alone": alone, "rewrapped": rewrapped}
        found = alternate(measures, plan.rounds, plan.on(f"{len(rows):,} keys, {gateway.name}"))
    return Figure(
        what=f"keys re-wrapped, {gateway.name}",
        unit="keys/s",
        values=found["rewrapped"],
        yardstick="unwrap and wrap alone",
        yardstick_values=found["alone"],
    )


def _command_memory(gateway: Deployment, plan: Plan) -> Figure:
    """The most memory that the command takes for many keys, against the few of the deployment."""
    own = Kek(gateway.settings.kek, lambda: load_kek(gateway.settings.kek))
    new = f"local:{gateway.settings.data_dir / 'new.json'}"
    few = _command_mb(gateway, new, own.uri)
    keyset, count = keysets.new_aead(), plan.amount(KEYS)
    with contextlib.closing(KeyStore(gateway.settings.keystore)) as store:
        store.add([_new(Keks(own), f"key {n}", keyset) for n in range(count)])
    return Figure(
        what=f"memory of vault rotate --kek, {count:,} keys, {gateway.name}",
        unit="MB",
        values=[_command_mb(gateway, new, own.uri)],
        yardstick="few keys",
        yardstick_values=[few],
    )


def _command_mb(gateway: Deployment, uri: str, previous: str) -> float:
    """Run the command to its end; its largest resident memory, as the kernel says shortly before.

    Not `ru_maxrss`, which begins with what this process had when it forked.
    """
    environ = os.environ | gateway.process_environ
    environ |= {"GATEWAY_KEK_URI": uri, "GATEWAY_KEK_URI_PREVIOUS": previous}
    command = [sys.executable, "-m", "gateway", "vault", "rotate", "--kek"]
    peak_kb = 0
    with Process(
        command, log=gateway.settings.data_dir / "rotate.log", env=environ, cwd=ROOT
    ) as child:
        status = Path(f"/proc/{child.pid}/status")
        while child.returncode is None:
            peak_kb = next((int(x.split()[1]) for x in _lines(status) if "VmHWM" in x), peak_kb)
            time.sleep(0.005)
        assert child.returncode == 0, child.output()
    return peak_kb / 1024


def _lines(status: Path) -> list[str]:
    try:
        return status.read_text().splitlines()
    except FileNotFoundError:  # it has ended
        return []


@contextlib.contextmanager
def _keystore(gateway: Deployment) -> Iterator[KeyStore]:
    """A key store on the deployment's kind of database."""
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{gateway.settings.data_dir / 'rewrapped.db'}"
        if gateway.is_postgresql:
            url = stack.enter_context(fresh_database())
        store = KeyStore(url)
        stack.callback(store.close)
        store.create()
        yield store


def _new(keks: Keks, name: str, keyset: keysets.Keyset) -> KeyRow:
    return keks.wrap(KeyRow("tenant-data", name, 1, None, None), keyset)


def _kek(gateway: Deployment, name: str) -> Kek:
    uri = f"local:{gateway.settings.data_dir / name}.json"
    return Kek(uri, lambda: load_kek(uri))
