"""Recorded extractions and odd ones: what a script says is found, and what it says goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator import Simulator, running
from tests.simulator.extracting import answer, rendered, text_of
from tests.simulator.support import Client

FACT = {"source": "Ada", "name": "STUDIES", "target": "owls", "fact": "Ada studies owls."}


async def names(client: Client, body: str) -> list[str]:
    return [one["name"] for one in (await answer(client, "extract_text", body))["extracted_entities"]]


async def control(client: Client, path: str, body: Any) -> Any:
    return (await client.send(f"/_sim/{path}", body, None)).json


async def test_the_longest_recorded_text_in_an_episode_is_what_it_is_taken_for(client: Client, sim: Simulator) -> None:
    texts = {"owls": "short", "Ada studies owls": "long", "x": "another"}
    sim.extractions([{"body": body, "entities": [name]} for body, name in texts.items()])
    assert await names(client, "Note: Ada studies owls") == ["long"]
    assert await names(client, " owls\n") == ["short"]
    assert await names(client, "Bob studies bees.") == ["Bob", "bees"]
    sim.extractions([{"body": "owls", "entities": ["later"]}])
    assert await names(client, "owls") == ["later"]


async def test_what_is_recorded_serves_all_prompts_about_it(client: Client, sim: Simulator) -> None:
    times = {"valid_at": "2020-01-01", "invalid_at": "2021-01-01"}
    sim.extractions([{"body": "b", "facts": [{**FACT, **times, "contradicts": ["We use Postgres"]}]}])
    edge = {**FACT, "valid_at": "2020-01-01T00:00:00Z", "invalid_at": "2021-01-01T00:00:00Z"}
    (found,) = (await answer(client, "edge", "b", nodes=[]))["edges"]
    assert (found["fact"], found["relation_type"], found["valid_at"]) == (FACT["fact"], "STUDIES", edge["valid_at"])
    assert [one["fact"] for one in (await answer(client, "combined", "b"))["edges"]] == [FACT["fact"]]
    assert await answer(client, "timestamps", fact="ada studies owls") == {key: edge[key] for key in ("valid_at", "invalid_at")}
    assert await answer(client, "resolve_edge", new_edge=FACT["fact"]) == {"duplicate_facts": [], "contradicted_facts": [1]}
    assert (await answer(client, "summary", "b", node={"name": "owls"}))["summary"] == FACT["fact"]


@pytest.mark.parametrize("kind", ["schema_echo", "prose", "truncated", "fenced", "list", "empty_object"])
async def test_an_oddity_spoils_as_many_answers_as_it_says(client: Client, sim: Simulator, kind: str) -> None:
    messages, model = rendered("edge")
    right = await text_of(client, "openrouter", messages)
    sim.odd_extraction(kind, times=2)
    odd = [await text_of(client, "openrouter", messages) for _ in range(3)]
    assert odd[0] == odd[1] and odd[2] == right
    assert [entry["odd"] for entry in sim.log] == [None, kind, kind, None]
    wrong = {"schema_echo": json.dumps(model.model_json_schema()), "list": f"[{right}]", "empty_object": "{}"}
    if kind in wrong:
        assert json.loads(odd[0]) == json.loads(wrong[kind])
    elif kind == "fenced":
        assert f"```json\n{right}\n```" in odd[0] and not odd[0].startswith("`")
    else:
        assert right.startswith(odd[0]) is (kind == "truncated") and odd[0] != right
        with pytest.raises(json.JSONDecodeError):
            json.loads(odd[0])


async def test_an_oddity_may_be_for_one_prompt_or_for_what_is_about_something(client: Client, sim: Simulator) -> None:
    sim.odd_extraction("empty_object", prompt="ExtractedEdges", match="Acme")
    await answer(client, "extract_text")
    await answer(client, "edge", "Bob studies bees.")
    assert await text_of(client, "openrouter", rendered("edge")[0]) == "{}"
    sim.odd_extraction("empty_object", times=None, match="Zed")  # who is in the earlier episode only
    await answer(client, "edge")
    assert sim.state["odd_extractions"] == 1


async def test_the_control_routes_take_both_and_reset_forgets_them(client: Client, sim: Simulator) -> None:
    assert await control(client, "extractions", {"body": "b", "facts": [FACT]}) == {"added": 1, "extractions": 1, "odd_extractions": 0}
    given = {"odd_extractions": [{"kind": "prose"}, {"kind": "list", "times": "forever"}]}
    assert await control(client, "odd_extractions", given) == {"added": 2, "extractions": 1, "odd_extractions": 2}
    await control(client, "reset", {"parts": ["extractions"]})
    assert (sim.state["extractions"], sim.state["odd_extractions"]) == (0, 0)
    with running() as other:
        other.extractions([{"body": "b"}])
        other.odd_extraction("prose")
        assert (other.state["extractions"], other.state["odd_extractions"]) == (1, 1)
        other.reset()
        assert (other.state["extractions"], other.state["odd_extractions"]) == (0, 0)


@pytest.mark.parametrize(
    ("path", "given", "says"),
    [
        ("extractions", {"body": " "}, "needs the body"),
        ("extractions", {"body": "b", "facts": [{"source": "Ada"}]}, "a fact needs source, name, target, fact"),
        ("extractions", {"body": "b", "facts": ["Ada"]}, "a fact needs"),
        ("extractions", {"body": "b", "facts": [{**FACT, "valid_at": "soon"}]}, "valid_at must be a time"),
        ("extractions", {"body": "b", "facts": [{**FACT, "contradicts": "x"}]}, "contradicts must be a list"),
        ("extractions", {"body": "b", "entities": [1]}, "entities must be a list"),
        ("extractions", {"body": "b", "entity": []}, "unknown key 'entity'"),
        ("odd_extractions", {"kind": "rude"}, "known: schema_echo, prose, truncated, fenced, list, empty_object"),
        ("odd_extractions", {"kind": "prose", "match": 1}, "match must be a string"),
        ("odd_extractions", {"kind": "prose", "prompt": "Weather"}, "unknown prompt 'Weather'"),
        ("odd_extractions", {"kind": "prose", "times": 0}, "times must be"),
    ],
)
async def test_a_mistake_in_a_script_is_told(client: Client, sim: Simulator, path: str, given: Any, says: str) -> None:
    assert says in (await control(client, path, given))["error"]
    assert (sim.state["extractions"], sim.state["odd_extractions"]) == (0, 0)
