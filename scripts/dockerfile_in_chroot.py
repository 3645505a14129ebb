"""Runs the Dockerfile's steps in a bare Debian tree, then the image's command.

`python -m scripts.dockerfile_in_chroot` as root, with debootstrap and unshare; no container engine.
What this machine needs to reach its package indexes (apt's mirror, pip's settings, certificates) is
found here and lent to the steps; none of it stays in the tree.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.dockerfile import Stage, ignored, read_dockerfile, read_ignore

ROOT = Path(__file__).resolve().parents[1]
SUITES = {"debian:bookworm-slim": "bookworm"}
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


# What this machine lends


@dataclass
class Loan:
    """Settings and files that the steps need on this machine to reach their indexes."""

    env: dict[str, str] = field(default_factory=dict)
    files: dict[Path, str] = field(default_factory=dict)

    def take(self, name: str, value: str) -> None:
        """Lend a setting, with every file or directory that it names under /run/lent."""
        words = []
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if word.startswith("file://"):
                path = path.parent  # an index refers to what lies beside it
            if path.is_absolute() and path.exists():
                place = self.files.setdefault(path, f"/run/lent/{len(self.files)}")
                words.append(word.replace(str(path), place))
            else:
                words.append(word)
        self.env[name] = " ".join(words)


def borrow() -> Loan:
    """Collect pip's settings, certificates and proxies of this machine."""
    loan = Loan()
    listing = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    for line in settings.splitlines():
        key, _, value = line.partition("=")
        if key.startswith("global."):
            loan.take(f"PIP_{key[7:].replace('-', '_').upper()}", value.strip("'\""))
    for name, value in os.environ.items():
        if name.startswith("PIP_") or name == "SSL_CERT_FILE" or name.lower().endswith("_proxy"):
            loan.take(name, value)
    return loan


def debian_mirror() -> str:
    """The address of this machine's first Debian archive, as apt knows it; LookupError if none."""
    listing = ["apt-get", "indextargets", "--format", "$(SITE)", "Origin: Debian", "Label: Debian"]
    sites = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    if not sites:
        raise LookupError("apt knows no Debian archive: run apt-get update, or give --mirror")
    return sites[0]


# Running in a tree

# A loopback of the tree's own: SIOCSIFFLAGS, IFF_UP | IFF_LOOPBACK | IFF_RUNNING (netdevice(7)).
LOOPBACK_UP = (
    "import fcntl, socket, struct; "
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x49))"
)


@dataclass
class Tree:
    """A root directory, and what the Dockerfile's steps have set so far."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PLAIN_PATH})
    workdir: str = "/"
    user: str = "root"
    settings: dict[str, str] = field(default_factory=dict)

    def command(self, run: list[str], *, loan: Loan | None = None) -> list[str]:
        """The command line that runs `run` as process 1 of the tree; its mounts end with it.

        With a loan it shares this machine's network, without one it has a loopback of its own.
        """
        setup = [f"cd {shlex.quote(str(self.root))}", "mount -t proc proc proc"]
        setup += ["mount --rbind /dev dev", "mount -t tmpfs tmpfs run"]
        env = dict(self.env)
        if loan is None:
            setup.append(f"{sys.executable} -c {shlex.quote(LOOPBACK_UP)}")
        else:
            env |= loan.env
            setup += [_mount(path, place) for path, place in loan.files.items()]
        inside = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(run)}"
        enter = ["chroot", f"--userspec={self.user}", ".", "/usr/bin/env", "-i"]
        enter += [*(f"{name}={value}" for name, value in env.items()), "/bin/sh", "-c", inside]
        script = " && ".join([*setup, f"exec {shlex.join(enter)}"])
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
        return [*apart, *([] if loan else ["--net"]), "sh", "-c", script]


def _mount(path: Path, place: str) -> str:
    to = place.lstrip("/")
    make = f"mkdir -p {to}" if path.is_dir() else f"install -D /dev/null {to}"
    return f"{make} && mount --bind -o ro {shlex.quote(str(path))} {to}"


# The steps


class Builder:
    """Carries out the stages, each in a copy of the bare tree."""

    def __init__(self, base: Path, work: Path, loan: Loan) -> None:
        """`base` is the bare tree, `work` an empty directory for the stages."""
        self._base = base
        self._work = work
        self._loan = loan
        self._trees: dict[str, Tree] = {}
        self._rules = read_ignore((ROOT / ".dockerignore").read_text())

    def build(self, stages: list[Stage]) -> Tree:
        """Run all stages and return the last one's tree."""
        for stage in stages:
            say(f"FROM {stage.base} AS {stage.name}")
            tree = Tree(self._work / stage.name)
            subprocess.run(["cp", "-a", "--reflink=auto", self._base, tree.root], check=True)
            self._trees[stage.name] = tree
            for word, argument in stage.steps:
                say(f"{word} {argument}")
                self._step(tree, word, argument)
        return tree

    def _step(self, tree: Tree, word: str, argument: str) -> None:
        if word == "RUN":
            run = ["/bin/sh", "-c", argument]
            self._run(tree.command(run, loan=self._loan))
        elif word == "COPY":
            self._copy(tree, shlex.split(argument))
        elif word == "ENV":
            pairs = dict(part.split("=", 1) for part in shlex.split(argument))
            known = tree.env
            tree.env = known | {
                n: string.Template(v).safe_substitute(known) for n, v in pairs.items()
            }
        elif word == "WORKDIR":
            tree.workdir = argument
            (tree.root / argument.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "USER":
            tree.user = argument
        elif word in {"ENTRYPOINT", "CMD", "HEALTHCHECK", "EXPOSE", "VOLUME", "STOPSIGNAL"}:
            tree.settings[word] = argument
        else:
            raise ValueError(f"not a step this script knows: {word}")

    def _run(self, command: list[str]) -> None:
        log = self._work / "step.log"
        with log.open("wb") as out:
            ran = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False
            )
        if ran.returncode != 0:
            raise SystemExit(f"{log.read_text()}\nthe step failed with {ran.returncode}")

    def _copy(self, tree: Tree, words: list[str]) -> None:
        *sources, target = [word for word in words if not word.startswith("--")]
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
        to = tree.root / str(Path(tree.workdir, target)).lstrip("/")
        stage = options.pop("from", None)
        if options:
            raise ValueError(f"not an option of COPY this script knows: {options}")
        for source in sources:
            if stage:
                origin = self._trees[stage].root / source.lstrip("/")
                subprocess.run(["cp", "-a", "--", origin, to], check=True)
            else:
                self._copy_context(source, to / source if target.endswith("/") else to)

    def _copy_context(self, source: str, to: Path) -> None:
        found = [ROOT / source, *(ROOT / source).rglob("*")]
        files = [path for path in found if path.is_file()]
        kept = [
            path for path in files if not ignored(path.relative_to(ROOT).as_posix(), self._rules)
        ]
        if not kept:
            raise FileNotFoundError(f"{source}: not there, or left out by .dockerignore")
        for path in kept:
            copy = to / path.relative_to(ROOT / source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


# Trying the image


def try_image(tree: Tree) -> None:
    """Run the entry point's help and migrations, then serve until healthy, then stop it."""
    entry: list[str] = json.loads(tree.settings["ENTRYPOINT"])
    for arguments in (["--help"], ["db", "upgrade"]):
        say(f"run {shlex.join([*entry, *arguments])}")
        subprocess.run(tree.command([*entry, *arguments]), check=True, timeout=60)
    serve = [*entry, *json.loads(tree.settings["CMD"])]
    say(f"run {shlex.join(serve)}")
    with subprocess.Popen(tree.command(serve), stdin=subprocess.DEVNULL) as outer:
        try:
            first = _healthy(tree, outer)
            user = _user(first)
            say(f"healthy as user {user}; stopping")
            os.kill(first, signal.SIGTERM)
            code = outer.wait(30)
        finally:
            outer.kill()
    say(f"exit code {code}")
    if code != 0 or user == "0":
        raise SystemExit("it must run without root, and end with 0 when asked to stop")


def _healthy(tree: Tree, outer: subprocess.Popen[bytes]) -> int:
    """Wait until the HEALTHCHECK passes; return the process id of the tree's first process."""
    check: list[str] = json.loads(tree.settings["HEALTHCHECK"].partition("CMD ")[2])
    env = [f"{name}={value}" for name, value in tree.env.items()]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if outer.poll() is not None:
            raise SystemExit(f"it ended by itself with {outer.returncode}")
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        if children:
            inside = ["nsenter", f"--target={children[0]}", "--mount", "--pid", "--net", "--root"]
            probe = [*inside, "env", "-i", *env, *check]
            if subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return int(children[0])
        time.sleep(0.2)
    raise SystemExit("it did not become healthy within 30 s")


def _user(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))


def say(line: str) -> None:
    """A step's line, above what the step prints."""
    print(f"==> {' '.join(line.split())}", flush=True)


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """An empty directory, removed afterwards; nothing is mounted there outside of a step."""
    directory = Path(tempfile.mkdtemp(prefix="dockerfile-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def main() -> None:
    """Make the bare tree, run the steps, try the image."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mirror", help="Debian archive; default: this machine's")
    options.add_argument(
        "--base", type=Path, help="keep the bare tree there, or take it from there"
    )
    options.add_argument("--build-only", action="store_true", help="do not run the image's command")
    given = options.parse_args()
    stages = read_dockerfile((ROOT / "Dockerfile").read_text())
    [suite] = {SUITES[stage.base] for stage in stages}
    with workspace() as work:
        base: Path = given.base or work / "base"
        if not base.exists():
            say(f"debootstrap --variant=minbase {suite}")
            make = ["debootstrap", "--variant=minbase", suite, str(base)]
            subprocess.run(
                [*make, given.mirror or debian_mirror()], check=True, stdout=subprocess.DEVNULL
            )
        tree = Builder(base, work, borrow()).build(stages)
        size = subprocess.run(["du", "-sm", tree.root], capture_output=True, text=True, check=True)
        say(f"the image's tree: {size.stdout.split()[0]} MB")
        if not given.build_only:
            try_image(tree)
    say("the Dockerfile's steps run")


if __name__ == "__main__":
    main()
