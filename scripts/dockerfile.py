"""Reads a Dockerfile into its stages, and a .dockerignore into its rules."""

from dataclasses import dataclass, field
from fnmatch import fnmatch


@dataclass
class Stage:
    """One FROM and what follows it: (instruction, argument) in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def read_dockerfile(text: str) -> list[Stage]:
    """Split into stages. ValueError for what stands before the first FROM."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    stages: list[Stage] = []
    for line in filter(None, (part.strip() for part in kept.replace("\\\n", " ").split("\n"))):
        word, _, rest = line.partition(" ")
        if word.upper() == "FROM":
            base, *named = rest.split()
            stages.append(Stage(base, named[-1] if named else str(len(stages))))
        elif stages:
            stages[-1].steps.append((word.upper(), rest.strip()))
        else:
            raise ValueError(f"before FROM: {line}")
    return stages


def read_ignore(text: str) -> list[tuple[bool, str]]:
    """The rules of a .dockerignore, in order: (kept?, pattern)."""
    lines = (line.strip() for line in text.splitlines())
    rules = [line for line in lines if line and not line.startswith("#")]
    return [(rule.startswith("!"), rule.removeprefix("!").strip("/")) for rule in rules]


def ignored(path: str, rules: list[tuple[bool, str]]) -> bool:
    """Whether the build context leaves out `path` (relative to it): the last match rules."""
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    verdict = False
    for kept, pattern in rules:
        tails = parts if pattern.startswith("**/") else above
        if any(fnmatch(tail, pattern.removeprefix("**/")) for tail in tails):
            verdict = not kept
    return verdict
