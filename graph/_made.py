"""What a graph was made with: another backend or embedding model needs another graph."""

from __future__ import annotations

import json
from typing import NamedTuple

from conversation.messages import Frozen
from graph.inbox import Inbox
from memory._sql import Sql

REBUILD = "Run `parley memory rebuild` to have it made anew from all episodes, or set it back."


class Made(Frozen):
    """`embedding` is the name of what makes vectors, `dimension` how many numbers these have; 0 is not known."""

    backend: str
    embedding: str
    dimension: int = 0


def difference(made: Made, mine: Made) -> str:
    """Return in what the graph is not what the settings say; nothing when it is. A dimension that is not known is not compared."""
    for name in ("backend", "embedding", "dimension"):
        was, is_now = getattr(made, name), getattr(mine, name)
        if was != is_now and was and is_now:
            return f"The graph was made with {name} {was}, the settings say {is_now}."
    return ""


async def note(inbox: Inbox, generation: int, made: Made) -> None:
    """Note what a graph is made with."""
    await inbox.set(_setting(generation), made.model_dump_json())


async def noted(inbox: Inbox, generation: int) -> Made | None:
    """Return what a graph was made with, None for one that is not there yet."""
    return _read(await inbox.setting(_setting(generation)))


class Searched(NamedTuple):
    """The graph that is searched: its number, what it was made with, and whether another is being made to take its place."""

    generation: int
    made: Made | None
    is_building: bool


def searched(sql: Sql) -> Searched:
    """Return which graph is searched."""
    statement = (
        "SELECT g.value, m.value, EXISTS (SELECT 1 FROM settings WHERE name = 'building') "
        "FROM settings g LEFT JOIN settings m ON m.name = 'made:' || g.value WHERE g.name = 'generation'"
    )
    ((generation, made, is_building),) = sql.execute(statement).fetchall()
    return Searched(int(generation), _read(made), bool(is_building))


def _setting(generation: int) -> str:
    return f"made:{generation}"


def _read(value: str | None) -> Made | None:
    return None if value is None else Made.model_validate(json.loads(value))
