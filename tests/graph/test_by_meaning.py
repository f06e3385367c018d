"""Search by meaning: what says the same in other words is found, and where that cannot be, words are searched and the reason is told."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from conversation.errors import NotConfigured
from graph._likeness import Likeness, Vectors
from graph.embedding import NO_MODEL, Meaning
from graph.episodes import Findings, Found, NewEpisode, Wanted
from graph.inbox import Inbox
from graph.read_model import ReadModel
from providers.causes import failure
from simulator.meaning import vector
from tests.graph.meanings import DIMENSION, NAME, Model, fact, made_with, of_fact, read

LORRY, CAT = "We purchased a new lorry in spring", "It sleeps on the sofa all day"
QUESTION = "who bought trucks?"


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def knowledge(inbox: Inbox, model: Model) -> ReadModel:
    return ReadModel(inbox.database, meaning=model.meaning)


def wanted(query: str = QUESTION, *groups: str) -> Wanted:
    return Wanted(query=query, group_ids=groups or ("g",))


def words(found: Findings) -> list[str]:
    return [one.fact.fact for one in found.facts]


async def test_a_paraphrase_is_found_by_its_meaning_alone(inbox: Inbox, model: Model, knowledge: ReadModel) -> None:
    await made_with(inbox)
    for said in (LORRY, CAT):
        await read(inbox, said)
    found = await knowledge.search(wanted())
    assert words(found)[0] == LORRY and found.by_words == ""
    assert model.queries == [(QUESTION, 2.0)]
    by_words = await ReadModel(inbox.database).search(wanted())
    assert (by_words.facts, by_words.by_words) == ((), NO_MODEL)


async def test_a_name_is_found_by_its_letters_before_what_is_only_near(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    for said in (LORRY, CAT, "They own vehicle XK-4711", "He drives a car", *(f"It notes number {number}" for number in range(20))):
        await read(inbox, said)
    assert words(await knowledge.search(wanted("XK-4711 truck")))[0] == "They own vehicle XK-4711"


async def test_an_episode_without_facts_is_found_by_its_meaning(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    told = await read(inbox, LORRY)
    await inbox.delete_fact(fact(LORRY).uuid)
    found = await knowledge.search(wanted())
    assert [one.episode.uuid for one in found.episodes] == [told] and not found.facts


async def test_only_the_groups_that_are_named_are_searched(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    await read(inbox, LORRY, group="other")
    await read(inbox, CAT)
    assert LORRY not in words(await knowledge.search(wanted()))
    assert words(await knowledge.search(wanted(QUESTION, "g", "other", "empty")))[0] == LORRY
    assert (await knowledge.search(wanted(QUESTION, "empty"))).facts == ()


async def test_what_is_told_and_forgotten_meanwhile_is_seen_by_a_process_that_keeps_vectors(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    other = Inbox(inbox.database._path)  # pyright: ignore[reportPrivateUsage] - another process
    assert words(await knowledge.search(wanted())) == []
    for number in range(3):
        first = await read(other, LORRY)
        await read(other, CAT)
        assert words(await knowledge.search(wanted()))[0] == LORRY
        await {0: other.delete, 1: lambda _: other.delete_fact(fact(LORRY).uuid), 2: lambda _: other.clear(["g"])}[number](first)
        assert LORRY not in words(await knowledge.search(wanted())), number
        assert fact(LORRY).uuid not in await with_vectors(inbox), number
        await other.clear(["g"])
    assert await with_vectors(inbox) == []
    await other.aclose()


async def with_vectors(inbox: Inbox) -> list[str]:
    rows = await inbox.database.run(lambda sql: sql.execute("SELECT uuid FROM vectors").fetchall(), write=False)
    return [uuid for (uuid,) in rows]


async def test_those_that_stay_keep_their_own_vectors_when_others_are_forgotten(inbox: Inbox) -> None:
    vectors = Vectors()

    async def like(these: Vectors) -> Likeness:
        asked = vector(QUESTION, DIMENSION)
        return await inbox.database.run(lambda sql: these.likeness(sql, asked, 1, ("g",)), write=False)

    first = await read(inbox, CAT)
    await read(inbox, LORRY)
    await like(vectors)
    await inbox.delete(first)
    for said in ("We bought a truck", "He sings in a choir"):
        await read(inbox, said)
    assert await like(vectors) == await like(Vectors())


async def test_another_file_in_its_place_is_another_memory(inbox: Inbox, knowledge: ReadModel, parley_home: Path) -> None:
    await made_with(inbox)
    await read(inbox, LORRY)
    assert words(await knowledge.search(wanted())) == [LORRY]
    for path in parley_home.glob("memory.db*"):
        path.rename(path.with_name(f"old-{path.name}"))
    await made_with(inbox)
    await read(inbox, "We acquired a van")
    assert words(await knowledge.search(wanted())) == ["We acquired a van"]


async def test_a_fact_in_other_words_has_another_vector(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    told = await read(inbox, CAT)
    await knowledge.search(wanted())
    changed = fact(CAT, told).model_copy(update={"fact": LORRY})
    await inbox.done(told, Found(facts=(changed,), vectors=(of_fact(changed),)))
    assert words(await knowledge.search(wanted())) == [LORRY]


@pytest.mark.parametrize(
    ("embedding", "dimension", "reason"),
    [
        ("lexical", 256, f"what is known was read with embedding lexical, the settings say {NAME}. `parley memory rebuild`"),
        (NAME, 32, f"{NAME} makes vectors of 64 numbers, those of what is known have 32. `parley memory rebuild`"),
    ],
)
async def test_vectors_of_another_model_are_not_compared(
    inbox: Inbox, model: Model, knowledge: ReadModel, embedding: str, dimension: int, reason: str
) -> None:
    await made_with(inbox, embedding, dimension)
    await read(inbox, LORRY)
    found = await knowledge.search(wanted("lorry"))
    assert words(found) == [LORRY] and reason in found.by_words
    assert (await knowledge.search(wanted())).facts == ()
    assert bool(model.queries) == (embedding == NAME), "a model is not asked in vain"
    await inbox.rebuild()
    assert "It is being read again now." in (await knowledge.search(wanted())).by_words


async def test_rows_of_another_length_are_left_out(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    told = await read(inbox, LORRY)
    odd = fact(CAT, told)
    await inbox.done(told, Found(facts=(odd,), vectors=(of_fact(odd, 32),)))
    assert words(await knowledge.search(wanted()))[0] == LORRY


async def test_before_anything_was_read_words_are_searched(inbox: Inbox, model: Model, knowledge: ReadModel) -> None:
    await inbox.add(NewEpisode(name="a note", body="A lorry", group_id="g", uuid=str(uuid.uuid4())))
    found = await knowledge.search(wanted("lorry"))
    assert len(found.episodes) == 1 and "nothing that was told has been read yet" in found.by_words and not model.asked


async def test_where_the_model_is_away_words_are_searched(inbox: Inbox, model: Model, knowledge: ReadModel) -> None:
    await made_with(inbox)
    await read(inbox, LORRY)
    model.error = failure("timeout", "no vectors within 2 s", provider="openrouter", model="m")
    found = await knowledge.search(wanted("lorry"))
    assert words(found) == [LORRY]
    assert found.by_words == "The search went by words alone: openrouter/m: no vectors within 2 s"


async def test_where_the_model_cannot_be_asked_words_are_searched(inbox: Inbox) -> None:
    await made_with(inbox)

    def make() -> Model:
        raise NotConfigured("OpenRouter is not configured.", hint="Set OPENROUTER_API_KEY.")

    meaning = Meaning(NAME, make)
    found = await ReadModel(inbox.database, meaning=meaning).search(wanted())
    assert found.by_words == f"The search went by words alone: {NAME} cannot make vectors: OpenRouter is not configured."
    assert meaning.problem().endswith("Set OPENROUTER_API_KEY.") and Model().meaning.problem() == ""


async def test_while_the_graph_is_made_anew_the_one_before_is_searched(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    await read(inbox, LORRY)
    await inbox.rebuild()
    await made_with(inbox, generation=2)
    for episode in await inbox.episodes():
        await inbox.done(episode.uuid, Found(facts=(new := fact("We acquired a van", episode.uuid),), vectors=(of_fact(new),)), 2)
    assert words(await knowledge.search(wanted())) == [LORRY]
    assert await inbox.built()
    assert words(await knowledge.search(wanted())) == ["We acquired a van"]
    rows = await inbox.database.run(lambda sql: sql.execute("SELECT DISTINCT generation FROM vectors").fetchall(), write=False)
    assert rows == [(2,)]


async def test_the_vectors_of_groups_searched_long_ago_are_let_go(inbox: Inbox, knowledge: ReadModel) -> None:
    await made_with(inbox)
    for number in range(12):
        await read(inbox, LORRY, group=f"g{number}")
        assert words(await knowledge.search(wanted(QUESTION, f"g{number}"))) == [LORRY]
    vectors = knowledge._vectors  # pyright: ignore[reportPrivateUsage]
    assert len(vectors._blocks) == 16  # pyright: ignore[reportPrivateUsage]
    assert words(await knowledge.search(wanted(QUESTION, "g0"))) == [LORRY]
    assert DIMENSION == 64
