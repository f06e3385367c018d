"""How well what was told is found: a labelled set, read by a simulated model that extracts as it is recorded, over the real path.

The notes, the questions and the extractions were written apart from each other and from the code: whoever wrote the questions saw the
notes alone. A result is right when it is from a note that the label names and holds the words of the answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.report import Report
from bench.setting import HERE, PARLEY, Setting
from cli.wire import build_app, close_app
from graph.embedding import Meaning
from graph.episodes import Findings, Wanted
from graph.inbox import Inbox
from graph.read_model import ReadModel

DATA = HERE / "data" / "recall"
GROUP = "recall"
EMBEDDING = "openrouter/openai/text-embedding-3-small"
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
    found: int = 0
    """Questions for which anything was found."""

    def note(self, question: Mapping[str, Any], results: Sequence[Result]) -> None:
        kind = question["kind"]
        self.asked[kind] += 1
        places = [number for number, one in enumerate(results[:FIRST]) if is_right(question, one)]
        self.first[kind] += 0 in places or any(is_on_the_way(question, one) for one in results[:1])
        self.among[kind] += bool(places)
        self.stale[kind] += any(is_stale(question, one) for one in results[:FIRST])
        self.found += bool(results)

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
    if result.superseded or not question["superseded"]:
        return False
    if holds(question, result):
        return False
    return any(
        all(re.search(rf"\b{re.escape(word)}", result.text, re.IGNORECASE) for word in one["words"])
        and result.told_in & set(map(uuid_of, one["episodes"]))
        for one in question["superseded"]
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


async def told(setting: Setting, home: str, **extra: str) -> Path:
    """Tell all episodes to a memory, have them read, and return its file. `extra` is added to the environment."""
    await setting.control("extractions", {"extractions": recorded()})
    env = setting.server_env(home, **extra)
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


async def scored(database: Path, questions: Sequence[Mapping[str, Any]], meaning: Meaning | None = None) -> Scores:
    """Ask a memory all questions, by words alone unless `meaning` is the embedding model that it was read with."""
    inbox, scores = Inbox(database), Scores()
    model = ReadModel(inbox.database, meaning=meaning)
    for question in questions:
        found = await model.search(Wanted(query=question["question"], group_ids=(GROUP,), limit=10))
        scores.note(question, ranked(found))
    await inbox.aclose()
    return scores


async def recall(setting: Setting, report: Report) -> None:
    """Ask a memory that has read the whole set, by words alone."""
    database = await told(setting, "recall")
    inbox = Inbox(database)
    queue = await inbox.queue()
    await inbox.aclose()
    report.row("recall: episodes read", f"{queue.done} of {len(rows('episodes'))}", "all", queue.done == len(rows("episodes")))
    questions = rows("questions")
    scores = await scored(database, [one for one in questions if one["kind"] != "never"])
    _rows(report, scores)
    never = await scored(database, [one for one in questions if one["kind"] == "never"])
    asked = never.asked["never"]
    report.row("recall: what was never said, something is found all the same", f"{never.found} of {asked}", "no bound", True)


def _rows(report: Report, scores: Scores) -> None:
    kinds = list(scores.asked)
    worded = [kind for kind in kinds if kind != "paraphrase"]
    asked = f"{sum(scores.asked[kind] for kind in worded)} questions, paraphrases left out"
    first, among = scores.part(scores.first, worded), scores.part(scores.among, worded)
    report.row(f"recall: hit@1, {asked}", f"{first:.3f}", ">= 0.75", first >= 0.75)
    report.row(f"recall: hit@5, {asked}", f"{among:.3f}", ">= 0.9", among >= 0.9)
    stale = sum(scores.stale.values())
    changed = scores.asked["changed"] + scores.asked["paraphrase"]
    report.row("recall: superseded given as current, among the first 5", f"{stale} of {changed}", "0", stale == 0)
    both = f"{scores.part(scores.first, kinds):.3f} / {scores.part(scores.among, kinds):.3f}"
    report.row(f"recall: hit@1 / hit@5, all {sum(scores.asked.values())} questions", both, "no bound", True)
    for kind in kinds:
        both = f"{scores.part(scores.first, [kind]):.2f} / {scores.part(scores.among, [kind]):.2f} of {scores.asked[kind]}"
        report.row(f"recall: hit@1 / hit@5, {kind}", both, "no bound", True)


async def recall_by_meaning(setting: Setting, report: Report) -> None:
    """Ask a memory that was read with an embedding model, whose simulated vectors know stems and a small thesaurus."""
    env = setting.server_env("recall-by-meaning", PARLEY_EMBEDDING_MODEL=EMBEDDING)
    database = await told(setting, "recall-by-meaning", PARLEY_EMBEDDING_MODEL=EMBEDDING)
    questions = [one for one in rows("questions") if one["kind"] != "never"]
    app = build_app(env, workspace=setting.folder)
    by_words, by_meaning = await scored(database, questions), await scored(database, questions, app.memory().meaning)
    await close_app(app)
    kinds = list(by_words.asked)
    for asked in (kinds, ["names"], ["paraphrase"]):
        parts = [f"{one.part(one.first, asked):.3f} / {one.part(one.among, asked):.3f}" for one in (by_words, by_meaning)]
        better = by_meaning.part(by_meaning.among, asked) >= by_words.part(by_words.among, asked)
        kind = "all questions" if asked is kinds else asked[0]
        report.row(f"recall by meaning: hit@1 / hit@5, {kind}", f"{parts[1]} (words: {parts[0]})", "hit@5 no lower", better)
