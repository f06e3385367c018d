"""The user's own names of [aliases] in parley.toml: what they lead to, and what is wrong with them. Pure functions."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

Aliases = Mapping[str, Sequence[str]]


class Followed(NamedTuple):
    """The names an alias leads to that are no aliases themselves, and a way through aliases back to one of them, if there is one."""

    ends: tuple[str, ...]
    circle: tuple[str, ...]


def follow(aliases: Aliases, name: str, known: Container[str]) -> Followed:
    """Return what `name` leads to; `known` names stand for themselves, whatever aliases say."""
    ends: list[str] = []
    circle: list[str] = []

    def walk(one: str, path: tuple[str, ...]) -> None:
        lowered = one.strip().lower()
        if lowered in known or lowered not in aliases:
            ends.append(one.strip())
        elif lowered in path:
            circle.extend((*path[path.index(lowered) :], lowered) if not circle else ())
        else:
            for target in aliases[lowered]:
                walk(target, (*path, lowered))

    walk(name, ())
    return Followed(tuple(dict.fromkeys(end for end in ends if end)), tuple(circle))


def fault(found: Followed) -> str:
    """Return what is wrong with an alias that leads to no model, to be said after its name."""
    if found.ends:
        return f"stands for {', '.join(found.ends)}, which no provider has"
    return f"goes round in a circle: {' -> '.join(found.circle)}" if found.circle else "stands for nothing"
