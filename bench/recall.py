"""How well what was told is found: a labelled set, read by a simulated model that extracts as it is recorded, over the real path.

The notes, the questions and the extractions were written apart from each other and from the code: whoever wrote the questions saw the
notes alone. A result is right when it is from a note that the label names and holds the words of the answer.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.setting import HERE, PARLEY, Setting
from graph.episodes import Findings, Wanted
from graph.inbox import Inbox
from graph.read_model import ReadModel

DATA = HERE / "data" / "recall"
GROUP = "recall"
FIRST = 5


def rows(name: str) -> list[dict[str, Any]]:
    """Return the lines of a file of the set."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()]


def uuid_of(episode: str) -> str:
    """Return the uuid that an episode of the set is told with."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"recall {episode}"))


@dataclass(frozen=True)
class Result:
    """What one place of the answer holds: a fact or an episode."""

    text: str
    told_in: frozenset[str]
    superseded: bool


@dataclass
class Scores:
    """How often the right thing came first, or among the first."""

    asked: Counter[str] = field(default_factory=Counter[str])
    first: Counter[str] = field(default_factory=Counter[str])
    among: Counter[str] = field(default_factory=Counter[str])
    stale: Counter[str] = field(default_factory=Counter[str])
    """Questions for which something that is no longer true was among the first and not marked."""
    missed: list[str] = field(default_factory=list[str])

    def note(self, question: Mapping[str, Any], results: Sequence[Result]) -> None:
        kind = question["kind"]
        self.asked[kind] += 1
        places = [number for number, one in enumerate(results[:FIRST]) if is_right(question, one)]
        self.first[kind] += 0 in places or bool(results) and is_on_the_way(question, results[0])
        self.among[kind] += bool(places)
        self.stale[kind] += any(is_stale(question, one) for one in results[:FIRST])
        if not places:
            self.missed.append(question["id"])

    def part(self, counted: Counter[str], kinds: Iterable[str]) -> float:
        """Return which part of the questions of these kinds was counted."""
        named = list(kinds)
        return sum(counted[kind] for kind in named) / max(1, sum(self.asked[kind] for kind in named))


def is_right(question: Mapping[str, Any], result: Result) -> bool:
    """Tell whether a result is from a note that answers, and holds the answer in one of the ways it may be put."""
    return bool(result.told_in & set(map(uuid_of, question["episodes"]))) and holds(question, result)


def is_on_the_way(question: Mapping[str, Any], result: Result) -> bool:
    """Tell whether a result is from one of the several notes that a question needs."""
    return question["kind"] == "hops" and bool(result.told_in & set(map(uuid_of, question["episodes"])))


def holds(question: Mapping[str, Any], result: Result) -> bool:
    """Tell whether the words of an answer are in a result."""
    text = result.text.casefold()
    return any(all(word.casefold() in text for word in words) for words in question["answers"])


def is_stale(question: Mapping[str, Any], result: Result) -> bool:
    """Tell whether a result gives a former value as if it held: from a note that had it, not marked, and without the value of now."""
    if result.superseded or question["kind"] != "changed":
        return False
    if holds(question, result):
        return False
    text = result.text.casefold()
    return any(
        one["value"].casefold() in text and result.told_in & set(map(uuid_of, one["episodes"])) for one in question["superseded"]
    )


def ranked(found: Findings) -> list[Result]:
    """Return facts and episodes in one order, by their scores."""
    facts = [
        (one.score, Result(" ".join((one.fact.fact, *(told.excerpt for told in one.told))), frozenset(one.fact.episodes), one.superseded))
        for one in found.facts
    ]
    episodes = [
        (one.score, Result(f"{one.episode.name} {one.episode.body}", frozenset((one.episode.uuid,)), one.superseded))
        for one in found.episodes
    ]
    return [result for _, result in sorted((*facts, *episodes), key=lambda pair: -pair[0])]


async def told(setting: Setting, home: str) -> Path:
    """Tell all episodes to a memory, have them read, and return its file."""
    await setting.control("extractions", {"extractions": recorded()})
    env = setting.server_env(home)
    export = setting.folder / "recall.json"
    export.write_text(json.dumps({"episodes": [_told(one) for one in rows("episodes")]}), "utf-8")
    for command in (("import", str(export)), ("drain", "--idle", "1")):
        process = await asyncio.create_subprocess_exec(PARLEY, "memory", *command, env=env, cwd=setting.folder)
        if await process.wait():
            raise RuntimeError(f"parley memory {command[0]} failed")
    return Path(env["PARLEY_HOME"]) / "memory.db"


def recorded() -> list[dict[str, Any]]:
    """Return what the simulated model extracts, by the bodies of the episodes."""
    bodies = {one["id"]: one["body"] for one in rows("episodes")}
    return [{"body": bodies[one["id"]], "entities": one["entities"], "facts": one["facts"]} for one in rows("extractions")]


def _told(one: Mapping[str, Any]) -> dict[str, str]:
    shown = {"name": one["name"], "episode_body": one["body"], "source": one["source"], "created_at": one["at"]}
    return {"uuid": uuid_of(one["id"]), "group_id": GROUP, **shown}


async def scored(database: Path, questions: Sequence[Mapping[str, Any]]) -> Scores:
    """Ask a memory all questions."""
    inbox, scores = Inbox(database), Scores()
    model = ReadModel(inbox.database)
    for question in questions:
        found = await model.search(Wanted(query=question["question"], group_ids=(GROUP,), limit=10))
        scores.note(question, ranked(found))
    await inbox.aclose()
    return scores
