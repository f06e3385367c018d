"""What the drainer does with an embedding model: vectors of what is new, each asked for once, of the model the graph was made with."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

import pytest

from conversation.errors import InvalidInput, MemoryUnavailable, NotConfigured
from graph import _made
from graph._made import Made
from graph.config import GraphConfig
from graph.embedding import Meaning, packed
from graph.episodes import Episode, Fact, Found, NewEpisode
from graph.extraction import Extraction
from graph.inbox import Inbox
from graph.memory import PROBLEM, Memory
from graph.opening import Opener
from graph.read_model import ReadModel
from graph.vectored import Kept, WithVectors
from providers import SPECS
from providers.catalogue import Catalogue
from providers.causes import failure
from providers.chain import Chain
from tests.graph.meanings import DIMENSION, NAME, Model, fact, made_with, read


@pytest.fixture
def model() -> Model:
    return Model()


class Graph:
    """A graph that finds what a test says."""

    def __init__(self) -> None:
        self.facts: tuple[Fact, ...] = ()
        self.did: list[str] = []

    async def remember(self, episode: Episode) -> Found:
        self.did.append(f"remember {episode.body}")
        return Found(facts=self.facts)

    async def forget_episode(self, uuid: str, group_id: str) -> None:
        self.did.append("forget an episode")

    async def forget_fact(self, uuid: str, group_id: str) -> None:
        self.did.append("forget a fact")

    async def forget_group(self, group_id: str) -> None:
        self.did.append("forget a group")

    async def aclose(self) -> None:
        self.did.append("close")


async def told(inbox: Inbox, body: str = "Note: a lorry") -> Episode:
    return await inbox.add(NewEpisode(name="a note", body=body, group_id="g", uuid=str(uuid.uuid4())))


async def test_vectors_of_what_is_new_are_told_with_what_is_found(inbox: Inbox, model: Model) -> None:
    graph = Graph()
    vectored = WithVectors(graph, Kept(model), inbox, 1)
    episode = await told(inbox)
    graph.facts = (fact("We bought a lorry", episode.uuid), fact("It sleeps", episode.uuid))
    found = await vectored.remember(episode)
    assert [(one.kind, one.uuid) for one in found.vectors] == [
        ("episode", episode.uuid), *(("fact", one.uuid) for one in graph.facts),
    ]  # fmt: skip
    assert {len(one.numbers) for one in found.vectors} == {4 * DIMENSION}
    await inbox.done(episode.uuid, found)
    graph.facts = (*graph.facts, fact("It eats", episode.uuid))
    again = await WithVectors(graph, Kept(model), inbox, 1).remember(episode)
    assert [one.uuid for one in again.vectors] == [episode.uuid, graph.facts[2].uuid], "the others have theirs"
    other = await WithVectors(graph, Kept(model), inbox, 2).remember(episode)
    assert len(other.vectors) == 4, "another graph has its own"
    graph.facts = (graph.facts[0].model_copy(update={"fact": "We sold a lorry"}),)
    changed = await WithVectors(graph, Kept(model), inbox, 1).remember(episode)
    assert [one.uuid for one in changed.vectors] == [episode.uuid, graph.facts[0].uuid], "and other words another"


async def test_a_model_that_fails_is_asked_before_the_models_that_read(inbox: Inbox, model: Model) -> None:
    graph = Graph()
    model.error = failure("rate_limited", "later", provider="p", model="m")
    with pytest.raises(type(model.error)):
        await WithVectors(graph, Kept(model), inbox, 1).remember(await told(inbox))
    assert graph.did == []


async def test_forgetting_and_closing_are_the_graphs_own(inbox: Inbox, model: Model) -> None:
    graph = Graph()
    vectored = WithVectors(graph, Kept(model), inbox, 1)
    await vectored.forget_episode("e", "g")
    await vectored.forget_fact("f", "g")
    await vectored.forget_group("g")
    await vectored.aclose()
    assert graph.did == ["forget an episode", "forget a fact", "forget a group", "close"]


async def test_what_was_asked_for_lately_is_not_asked_for_again(model: Model) -> None:
    kept = Kept(model)
    first = await kept(["one", "two", "one"])
    assert model.asked == ["one", "two"] and first[0] == first[2] != first[1]
    assert await kept(["two", "three"]) == [first[1], (await model.embed(["three"]))[0]]
    assert model.asked == ["one", "two", "three", "three"]
    many = [f"text {number}" for number in range(300)]
    assert len(await kept(many)) == 300 and await kept([]) == []
    model.asked.clear()
    assert (await kept(["one"]))[0] == first[0] and model.asked == ["one"]
    kept = Kept(model)
    for part in (["one"], many[:200], ["one"], many[200:]):
        await kept(part)
    model.asked.clear()
    await kept(["one", many[250]])
    assert model.asked == [], "what was asked for last stays longest"


def test_vectors_are_kept_at_length_one() -> None:
    assert struct.unpack("<2f", packed([3.0, 4.0])) == pytest.approx((0.6, 0.8))
    assert struct.unpack("<2f", packed([0.0, 0.0])) == (0.0, 0.0)


def opener(inbox: Inbox, home: Path, meaning: Meaning | None) -> Opener:
    config = GraphConfig(home=home, embedding_model="" if meaning is None else meaning.name)
    catalogue = Catalogue(SPECS, problems={}, order=())
    return Opener(config, inbox, Extraction(Chain(lambda name: pytest.fail(name), pytest.fail), catalogue), meaning)  # pyright: ignore[reportArgumentType]


async def test_a_graph_is_opened_with_the_model_that_it_was_made_with(inbox: Inbox, model: Model, parley_home: Path) -> None:
    pytest.importorskip("graphiti_core")
    for _ in range(2):
        graph = await opener(inbox, parley_home, model.meaning)(1)
        assert isinstance(graph, WithVectors)
        await graph.aclose()
    assert await _made.noted(inbox, 1) == Made(backend="kuzu", embedding=NAME, dimension=DIMENSION)
    plain = await opener(inbox, parley_home, None)(2)
    assert not isinstance(plain, WithVectors)
    await plain.aclose()
    assert await _made.noted(inbox, 2) == Made(backend="kuzu", embedding="lexical", dimension=256)


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (Model(name="github_models/openai/text-embedding-3-small"), f"made with embedding {NAME}, the settings say github_models/"),
        (Model(dimension=8), "made with dimension 64, the settings say 8"),
        (None, f"made with embedding {NAME}, the settings say lexical"),
    ],
)
async def test_a_graph_of_another_model_is_not_opened(
    inbox: Inbox, parley_home: Path, other: Model | None, complaint: str
) -> None:
    await made_with(inbox)
    with pytest.raises(MemoryUnavailable, match=complaint) as caught:
        await opener(inbox, parley_home, other and other.meaning)(1)
    assert "parley memory rebuild" in caught.value.hint and not (parley_home / "graph").exists()


async def test_without_an_answer_of_the_model_nothing_is_opened_and_nothing_noted(
    inbox: Inbox, model: Model, parley_home: Path
) -> None:
    model.error = failure("auth_failed", "HTTP 401: no", provider="openrouter", model="m")
    with pytest.raises(MemoryUnavailable, match="The embedding model cannot be asked: openrouter/m: HTTP 401"):
        await opener(inbox, parley_home, model.meaning)(1)

    def make() -> Model:
        raise NotConfigured("OpenRouter is not configured.")

    with pytest.raises(MemoryUnavailable, match="cannot make vectors: OpenRouter is not configured"):
        await opener(inbox, parley_home, Meaning(NAME, make))(1)
    assert await _made.noted(inbox, 1) is None


@pytest.mark.parametrize("name", ["text-embedding-3-small", "openrouter/", "/x", "a b/c", "openrouter/x y", "o" * 10 + "/" + "x" * 161])
def test_a_name_that_is_no_exact_name_is_wrong_use(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="PARLEY_EMBEDDING_MODEL is not the exact name of a model"):
        GraphConfig.from_env({"PARLEY_EMBEDDING_MODEL": name}, tmp_path)


@pytest.mark.parametrize(("name", "embedding"), [("", "lexical"), (" lexical ", "lexical"), (NAME, NAME)])
def test_words_are_what_is_compared_without_a_model(tmp_path: Path, name: str, embedding: str) -> None:
    assert GraphConfig.from_env({"PARLEY_EMBEDDING_MODEL": name}, tmp_path).embedding == embedding


async def status(inbox: Inbox, home: Path, model: Model | None, make: Meaning | None = None) -> str:
    config = GraphConfig(home=home, embedding_model=model.name if model else "")
    meaning = make or (model.meaning if model else None)
    return (await Memory(config, inbox, ReadModel(inbox.database, meaning=meaning), group="g", meaning=meaning).status()).message


async def test_the_status_asks_for_a_rebuild_after_the_model_was_changed(inbox: Inbox, model: Model, parley_home: Path) -> None:
    assert "rebuild" not in await status(inbox, parley_home, model)
    await made_with(inbox)
    await read(inbox, "We bought a lorry")
    assert await status(inbox, parley_home, model) == "Everything that was told has been read."
    other = Model(name="vertex_gemini/text-embedding-005")
    told = f"The graph was made with embedding {NAME}, the settings say {other.name}. Run `parley memory rebuild`"
    await inbox.set(PROBLEM, f"{told} to have it made anew from all episodes, or set it back.")
    message = await status(inbox, parley_home, other)
    assert message.count(told) == 1
    assert "the settings say lexical" in await status(inbox, parley_home, None)
    await inbox.rebuild()
    await inbox.set(PROBLEM, "")
    assert told not in await status(inbox, parley_home, other)


async def test_the_status_says_that_a_model_cannot_be_asked(inbox: Inbox, model: Model, parley_home: Path) -> None:
    def make() -> Model:
        raise NotConfigured("OpenRouter is not configured.", hint="Set OPENROUTER_API_KEY.")

    message = await status(inbox, parley_home, model, Meaning(NAME, make))
    assert f"{NAME} cannot make vectors: OpenRouter is not configured. Set OPENROUTER_API_KEY." in message


def test_entities_are_said_to_be_searched_by_words(inbox: Inbox, model: Model, parley_home: Path) -> None:
    config = GraphConfig(home=parley_home)
    plain, by_meaning = (Memory(config, inbox, ReadModel(inbox.database), group="g", meaning=one) for one in (None, model.meaning))
    assert "PARLEY_EMBEDDING_MODEL" in plain.nodes_by_words and "search_memory_facts" in by_meaning.nodes_by_words
