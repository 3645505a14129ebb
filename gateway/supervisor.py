"""Runs the programs of `gateway run`: restarts what dies, passes on output, ends them all."""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Final, NamedTuple

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP comes when the terminal is closed: then nobody is there for the programs to write to."""
GRACE_S: Final = 15.0
"""How long a program may take to stop before it is killed."""
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
SETTLED_S: Final = 10.0
"""A program that lived so long starts again without the pauses of before."""
_LOOK_S: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class Program(NamedTuple):
    """One program: its name for people, its command line and its whole environment."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]


class _Running:
    """A program's life: the process of now, and when the next one may start."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.due = 0.0
        self._started = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._rest = b""

    def start(self, now: float) -> None:
        self._started = now
        self.process = subprocess.Popen(  # noqa: S603 - our own command lines
            self.program.command,
            env=self.program.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # a terminal's Ctrl-C reaches us alone, and we stop them in order
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
        )

    def ended(self, now: float) -> int:
        """Forget the process, which has ended; plan the next start and return the exit code."""
        process = self.process
        if process is None or process.returncode is None:
            raise ValueError("it is still running")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it had started itself
        if now - self._started >= SETTLED_S:
            self._pause_s = FIRST_PAUSE_S
        self.due = now + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        self.process = None
        return process.returncode

    def lines(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes; an empty one completes what is left."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        return whole


class Supervisor:
    """Runs programs until SIGTERM, SIGINT or SIGHUP; in one thread, so that children may be
    prepared in it.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        write: Callable[[str, bytes], None],
        grace_s: float = GRACE_S,
    ) -> None:
        """`write(name, line)` takes every line of output; `supervisor` says what happens here."""
        self._all = [_Running(program) for program in programs]
        self._write = write
        self._grace_s = grace_s
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []

    def run(self, ready: Callable[[], bool], on_ready: Callable[[], None]) -> None:
        """Supervise until told to stop; `on_ready` is called once, when `ready()` is first true."""
        waiting = True
        with self._woken_by_signals():
            while not self._signals:
                self._start_due()
                if waiting and ready():
                    waiting = False
                    on_ready()
                self._turn(_LOOK_S)
            self._stop()

    def _start_due(self) -> None:
        now = time.monotonic()
        for running in self._all:
            if running.process is None and running.due <= now:
                running.start(now)
                self._watch(running)

    def _watch(self, running: _Running) -> None:
        if running.process and running.process.stdout:
            os.set_blocking(running.process.stdout.fileno(), False)
            self._selector.register(running.process.stdout, selectors.EVENT_READ, running)

    def _turn(self, timeout_s: float) -> None:
        """Pass on output and see who ended, for at most `timeout_s` seconds."""
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, _Running):
                self._read(key.data)
            else:
                self._take_signals(key.data)
        for running in self._all:
            if running.process and running.process.poll() is not None:
                self._reap(running)

    def _take_signals(self, woken: socket.socket) -> None:
        numbers = set(woken.recv(64))
        self._signals += numbers & set(STOPPING)

    def _read(self, running: _Running) -> bool:
        """One read; False when there is nothing now."""
        stdout = running.process.stdout if running.process else None
        chunk = stdout.read(65536) if stdout else None
        if chunk is None:
            return False
        if chunk == b"" and stdout:
            self._selector.unregister(stdout)
        for line in running.lines(chunk):
            self._write(running.program.name, line)
        return chunk != b""

    def _reap(self, running: _Running) -> None:
        while self._read_left(running):
            pass
        code = running.ended(time.monotonic())
        if not self._signals:
            pause_s = running.due - time.monotonic()
            text = f"{running.program.name} {_ending(code)}; starts again in {pause_s:.1f} s"
            self._write("supervisor", text.encode())

    def _read_left(self, running: _Running) -> bool:
        stdout = running.process.stdout if running.process else None
        if stdout is None or stdout.closed:
            return False
        if stdout in self._selector.get_map() and self._read(running):
            return True
        if stdout in self._selector.get_map():
            self._selector.unregister(stdout)
        stdout.close()
        return False

    def _stop(self) -> None:
        """Ask all to stop, wait, and kill what does not; a second signal kills at once."""
        for running in self._all:
            if running.process:
                running.process.terminate()
        until = time.monotonic() + self._grace_s
        while self._alive() and time.monotonic() < until and len(self._signals) == 1:
            self._turn(_LOOK_S)
        for running in self._alive():
            self._write("supervisor", f"{running.program.name} did not stop: killed".encode())
            if running.process:
                running.process.kill()
        while self._alive():
            self._turn(_LOOK_S)

    def _alive(self) -> list[_Running]:
        return [running for running in self._all if running.process]

    @contextlib.contextmanager
    def _woken_by_signals(self) -> Iterator[None]:
        """Signals arrive through a socket, so that they end waiting and interrupt nothing."""
        theirs, ours = socket.socketpair()
        for end in (theirs, ours):
            end.setblocking(False)
        watched = (*STOPPING, signal.SIGCHLD)
        before = {number: signal.signal(number, _arrives_by_socket) for number in watched}
        previous = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
        self._selector.register(theirs, selectors.EVENT_READ, theirs)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            theirs.close()
            ours.close()


def _arrives_by_socket(_number: int, _frame: FrameType | None) -> None:
    """Without a handler in Python a signal would not be written to the wake-up descriptor."""


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def _die_with(parent: int) -> Callable[[], None]:
    """What a child does between fork and exec: have the kernel kill it when its parent is gone.

    `kill -9` of the supervisor leaves it no chance to end its children; without this they would go
    on beside those of the next `gateway run`. Linux alone can do it (prctl, PR_SET_PDEATHSIG).
    """
    if sys.platform != "linux":
        return _nothing
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def _nothing() -> None:
    """Where the kernel does not offer it, children end when they are told to, or by hand."""
