"""What the memory costs: telling, searching, and reading an episode, beside what the model takes."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Sequence
from statistics import mean, median

import numpy as np

from bench.client import server
from bench.report import Report, milliseconds
from bench.setting import PARLEY, Setting, bare_call, resident_megabytes
from cli.wire import build_app, close_app
from graph import _found, _made
from graph._rows import scope
from graph.config import GraphConfig
from graph.embedding import Meaning, packed
from graph.episodes import Entity, Episode, Fact, Found, NewEpisode, Wanted
from graph.extraction import Extraction
from graph.inbox import Inbox
from graph.opening import Opener
from graph.read_model import ReadModel
from memory._sql import Sql

GROUP = "bench"
_NAMES = [f"{first}{second}" for first in ("blue", "red", "north", "south", "fast", "deep") for second in ("gate", "relay", "store")]
_FAMILIES = ("Berg", "Costa", "Diaz", "Egede", "Falk")
_PEOPLE = [f"{first} {family}" for first in ("Ada", "Bo", "Cleo", "Dan") for family in _FAMILIES]
_ROW = (
    "INSERT INTO episodes(uuid, group_id, name, body, source, source_description, created_at, state, scope) "
    "VALUES (?, ?, ?, ?, 'text', '', ?, 'done', ?)"
)
_VERBS = ("owns", "maintains", "deploys", "reviews", "monitors", "replaced", "tests", "documents")


def note(number: int, dice: random.Random) -> str:
    """Return a note of two sentences on people and services, some of them new."""
    service = dice.choice(_NAMES) if dice.random() < 0.7 else f"service-{number}"
    person, verb, port = dice.choice(_PEOPLE), dice.choice(_VERBS), 1024 + dice.randrange(60_000)
    return f"{person} {verb} {service} since week {number % 52}. {service} listens on port {port} and writes to {dice.choice(_NAMES)}."


async def remember(setting: Setting, report: Report) -> None:
    """All of it."""
    await _telling(setting, report)
    for count, bound in ((1_000, 20), (10_000, 40)):
        await _searching(setting, report, count, bound)
    await _searching_by_meaning(setting, report)
    await _reading(setting, report)


async def _telling(setting: Setting, report: Report) -> None:
    dice = random.Random(1)
    async with server([PARLEY, "serve"], setting.server_env("telling")) as client:
        await client.initialize()

        async def tell() -> None:
            await client.tool("add_memory", name="A note", episode_body=note(dice.randrange(10**6), dice))

        await milliseconds(tell, 3)
        taken = await milliseconds(tell, 60)
    slow = sorted(taken)[int(len(taken) * 0.95)]
    report.row("add_memory acknowledged, over stdio", f"{median(taken):.1f} ms, 95 %: {slow:.1f}", "<= 10 ms", slow <= 10)


async def _searching(setting: Setting, report: Report, count: int, bound: float) -> None:
    inbox = Inbox(setting.folder / f"searching-{count}" / "memory.db")
    await _filled(inbox, count)
    taken = await _searches(ReadModel(inbox.database))
    await inbox.aclose()
    slow = sorted(taken)[int(len(taken) * 0.95)]
    report.row(f"search among {count:,} episodes", f"{median(taken):.1f} ms, 95 %: {slow:.1f}", f"<= {bound:g} ms", slow <= bound)


async def _searches(model: ReadModel) -> list[float]:
    """Return how many milliseconds each of some searches took."""
    dice = random.Random(2)

    async def search() -> None:
        query = f"who {dice.choice(_VERBS)} {dice.choice(_NAMES)}, and on which port does {dice.choice(_NAMES)} listen?"
        found = await model.search(Wanted(query=query, group_ids=(GROUP,)))
        if len(found.facts) < 5:
            raise RuntimeError("the search found nothing")

    await milliseconds(search, 5)
    return await milliseconds(search, 60)


async def _searching_by_meaning(setting: Setting, report: Report, count: int = 10_000) -> None:
    """Search facts that have vectors, at random, without what the model takes that makes the question's."""
    inbox, dice = Inbox(setting.folder / "by-meaning" / "memory.db"), np.random.default_rng(5)
    await _filled(inbox, count // 2)
    await _made.note(inbox, 1, _made.Made(backend="kuzu", embedding=_Vectors.name, dimension=_Vectors.dimension))

    def add(sql: Sql) -> None:
        for (fact,) in sql.execute("SELECT uuid FROM facts").fetchall():
            row = (GROUP, fact, packed(dice.normal(size=_Vectors.dimension).tolist()))
            sql.execute("INSERT INTO vectors(generation, group_id, kind, uuid, numbers) VALUES (1, ?, 'fact', ?, ?)", row)

    await inbox.database.run(add, write=True)
    before = resident_megabytes(os.getpid())
    taken = await _searches(ReadModel(inbox.database, meaning=Meaning(_Vectors.name, _Vectors)))
    more = resident_megabytes(os.getpid()) - before
    await inbox.aclose()
    slow = sorted(taken)[int(len(taken) * 0.95)]
    value = f"{median(taken):.1f} ms, 95 %: {slow:.1f}; +{more:.0f} MB"
    report.row(f"search by meaning, {count:,} facts of {_Vectors.dimension:,} numbers", value, "<= 40 ms", slow <= 40)


class _Vectors:
    """An embedding model that makes anything up."""

    name, dimension = "bench/random", 1_536

    async def embed(self, texts: Sequence[str], *, is_query: bool = False, within_s: float | None = None) -> list[list[float]]:
        dice = random.Random(6)
        return [[dice.gauss(0, 1) for _ in range(self.dimension)] for _ in texts]


async def _filled(inbox: Inbox, count: int) -> None:
    """Fill an inbox with episodes that have been read, two facts each."""
    dice = random.Random(3)

    def fill(sql: Sql) -> None:
        for number in range(count):
            body, episode = note(number, dice), str(uuid.uuid4())
            sql.execute(_ROW, (episode, GROUP, f"Note {number}", body, f"2026-01-01T00:00:{number % 60:02}Z", scope(GROUP)))
            _found.put(sql, episode, _read(episode, body), 1)

    await inbox.database.run(fill, write=True)


def _read(episode: str, body: str) -> Found:
    sentences = body.rstrip(".").split(". ")
    ends = [Entity(uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, word)), group_id=GROUP, name=word, created_at="x") for word in _ends(sentences)]
    facts = [
        Fact(
            uuid=str(uuid.uuid4()), group_id=GROUP, source=ends[0].uuid, target=ends[1].uuid, name="IS", fact=text, created_at="x",
            episodes=(episode,),
        )
        for text in sentences
    ]  # fmt: skip
    return Found(mentions=tuple(one.uuid for one in ends), entities=tuple(ends), facts=tuple(facts))


def _ends(sentences: Sequence[str]) -> tuple[str, str]:
    return " ".join(sentences[0].split()[:2]), sentences[1].split()[0]


async def _reading(setting: Setting, report: Report, count: int = 1_000) -> None:
    """Read episodes over the real path, and take away what as many bare calls to the simulated model take."""
    env, folder = setting.server_env("reading"), setting.folder / "reading"
    app = build_app(env, workspace=setting.folder)
    inbox = Inbox(folder / "memory.db")
    extraction = _Counted(Extraction(app.chain, app.catalogue))
    graph = await Opener(GraphConfig(home=folder), inbox, extraction)(1)
    bare = median(await milliseconds(lambda: bare_call(setting), 60)) / 1000
    dice, taken = random.Random(4), list[float]()
    for number in range(count):
        episode = await _told(inbox, note(number, dice))
        asked, began = extraction.calls, time.perf_counter()
        found = await graph.remember(episode)
        await inbox.done(episode.uuid, found)
        taken.append((time.perf_counter() - began - bare * (extraction.calls - asked)) * 1000)
    await graph.aclose()
    await inbox.aclose()
    await close_app(app)
    early, late = mean(taken[80:120]), mean(taken[-40:])
    report.row("own cost of reading an episode, about the 100th", f"{early:.0f} ms", "<= 150 ms", early <= 150)
    report.row(f"own cost of reading an episode, about the {count:,}th", f"{late:.0f} ms", "<= 150 ms", late <= 150)
    report.row("growth from the one to the other", f"{late / early:.2f} x", "<= 2 x", late <= 2 * early)


async def _told(inbox: Inbox, body: str) -> Episode:
    await inbox.add(NewEpisode(name="A note", body=body, group_id=GROUP, uuid=str(uuid.uuid4())))
    claimed = await inbox.claim()
    if claimed is None:
        raise RuntimeError("nothing to read")
    return claimed


class _Counted(Extraction):
    """An extraction that counts how often a model is asked."""

    def __init__(self, extraction: Extraction) -> None:
        self._extraction = extraction
        self.calls = 0

    async def __call__(self, messages: Sequence[tuple[str, str]], is_small: bool, max_tokens: int) -> str:
        self.calls += 1
        return await self._extraction(messages, is_small, max_tokens)
