"""Simulated embedding models refuse what the real ones refuse, and put near what means about the same."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from simulator import Simulator
from simulator.check_embeddings import check_openai
from simulator.models import ModelList
from simulator.refusals import Refusal
from tests.simulator.support import VERTEX, Client, Reply, chat_body, gemini_body

SMALL = "openai/text-embedding-3-small"
PATHS = {"github_models": "/inference/embeddings", "openrouter": "/api/v1/embeddings"}


async def ask(client: Client, provider: str = "openrouter", **body: Any) -> Reply:
    key = client.env["GITHUB_TOKEN" if provider == "github_models" else "OPENROUTER_API_KEY"]
    return await client.send(PATHS[provider], {"model": SMALL, **body}, key)


async def predict(client: Client, *texts: Any, model: str = "text-embedding-005", **body: Any) -> Reply:
    instances = [{"content": text} for text in texts]
    return await client.send(f"{VERTEX}/google/models/{model}:predict", {"instances": instances, **body}, client.token)


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("provider", PATHS)
async def test_texts_become_vectors_in_their_order_with_usage_and_a_label(client: Client, provider: str) -> None:
    reply = await ask(client, provider, input=["We bought a lorry", "The cat sleeps"])
    assert reply.status == 200 and reply.headers["x-parley-simulated"] == "1"
    rows = reply.json["data"]
    assert [row["index"] for row in rows] == [0, 1] and {len(row["embedding"]) for row in rows} == {1_536}
    assert reply.json["usage"]["prompt_tokens"] == 7 and ("cost" in reply.json["usage"]) == (provider == "openrouter")
    alone = await ask(client, provider, input="The cat sleeps", dimensions=1_536)
    assert alone.json["data"][0]["embedding"] == rows[1]["embedding"]


async def test_a_paraphrase_is_near_and_other_words_are_far(client: Client) -> None:
    texts = ["We purchased a new lorry.", "they bought trucks", "The cat sleeps on the sofa", ""]
    vectors = [row["embedding"] for row in (await ask(client, input=[*texts[:3], "?"])).json["data"]]
    assert likeness(vectors[0], vectors[1]) > 0.6 > 0.2 > abs(likeness(vectors[0], vectors[2]))
    assert vectors[3][:2] == [1.0, 0.0]


async def test_vectors_come_packed_and_shorter_when_that_is_asked_for(client: Client) -> None:
    row = (await ask(client, input="a word", encoding_format="base64", dimensions=8)).json["data"][0]
    assert len(struct.unpack("<8f", base64.b64decode(row["embedding"]))) == 8


async def test_vertex_makes_vectors_of_several_texts_and_cuts_long_ones(client: Client) -> None:
    reply = await predict(client, "word", "x" * 10_000, parameters={"outputDimensionality": 16})
    short, long = (row["embeddings"] for row in reply.json["predictions"])
    assert len(short["values"]) == 16 and short["statistics"] == {"token_count": 1, "truncated": False}
    assert long["statistics"] == {"token_count": 2_048, "truncated": True}
    assert reply.json["metadata"]["billableCharacterCount"] == 10_004
    assert (await predict(client, "one", model="gemini-embedding-001")).status == 200


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no model": ({"model": None, "input": "x"}, 400, "Missing required parameter: 'model'"),
    "unknown model": ({"model": "x/y", "input": "x"}, 404, "x/y"),
    "a model that chats": ({"model": "openai/gpt-4.1", "input": "x"}, 400, "The embeddings operation does not work"),
    "no input": ({}, 400, "Missing required parameter: 'input'"),
    "an empty text": ({"input": ""}, 400, "'$.input' is invalid"),
    "no texts": ({"input": []}, 400, "'$.input' is invalid"),
    "an empty text among others": ({"input": ["x", ""]}, 400, "'$.input' is invalid"),
    "a number": ({"input": 1}, 400, "'$.input' is invalid"),
    "texts of no text": ({"input": ["x", {}]}, 400, "'$.input' is invalid"),
    "too many texts": ({"input": ["x"] * 2_049}, 400, "array too long. Expected an array with maximum length 2048, but got 2049"),
    "a text too long": ({"input": "x" * 40_000}, 400, "maximum context length is 8191 tokens, however you requested 10000"),
    "an unknown encoding": ({"input": "x", "encoding_format": "hex"}, 400, "Supported values are: 'float' and 'base64'"),
    "no dimensions": ({"input": "x", "dimensions": 0}, 400, "Invalid value for 'dimensions'"),
    "too many dimensions": ({"input": "x", "dimensions": 2_000}, 400, "Must be from 1 to 1536"),
    "dimensions of text": ({"input": "x", "dimensions": "8"}, 400, "Invalid value for 'dimensions'"),
}


@pytest.mark.parametrize("provider", PATHS)
@pytest.mark.parametrize("case", REFUSED)
async def test_what_openai_refuses_is_refused(client: Client, sim: Simulator, provider: str, case: str) -> None:
    body, status, message = REFUSED[case]
    reply = await ask(client, provider, **body)
    assert (reply.status, message in reply.message) == (status, True), reply.text
    entry = sim.log[-1]
    assert (entry["route"], entry["status"], entry["provider"]) == ("embeddings", status, provider) and entry["error"]


def test_too_much_in_all_is_refused() -> None:
    model = ModelList().find("openrouter", SMALL)
    assert model is not None
    with pytest.raises(Refusal, match="Requested 304000 tokens, max 300000 tokens per request"):
        check_openai({"input": ["x" * 32_000] * 38}, model, provider="openrouter")


async def test_an_unknown_key_is_refused_by_github_and_ignored_by_openrouter(client: Client, sim: Simulator) -> None:
    assert "Unrecognized request argument supplied: top_p" in (await ask(client, "github_models", input="x", top_p=1)).message
    assert (await ask(client, input="x", top_p=1)).status == 200 and sim.log[-1]["ignored"] == ["top_p"]


VERTEX_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no instances": ({"instances": []}, "Empty instances"),
    "instances of no list": ({"instances": "x"}, "Empty instances"),
    "no content": ({"instances": [{"text": "x"}]}, "content is required"),
    "an empty text": ({"instances": [{"content": ""}]}, "The text content is empty"),
    "an instance of no object": ({"instances": ["x"]}, "content is required"),
    "an unknown task": ({"instances": [{"content": "x", "task_type": "GUESS"}]}, "task type GUESS is not supported"),
    "too many instances": ({"instances": [{"content": "x"}] * 251}, "supports up to 250 instance"),
    "too much in all": ({"instances": [{"content": "x" * 9_000}] * 9}, "the input token count is 20250 but the model supports up to 20000"),
    "a long text that may not be cut": (
        {"instances": [{"content": "x" * 9_000}], "parameters": {"autoTruncate": False}}, "count is 2250 but the model supports up to 2048"
    ),
    "parameters of no object": ({"instances": [{"content": "x"}], "parameters": []}, "Invalid parameters"),
    "a wrong parameter": ({"instances": [{"content": "x"}], "parameters": {"autoTruncate": "no"}}, "autoTruncate must be a boolean"),
}  # fmt: skip


@pytest.mark.parametrize("case", VERTEX_REFUSED)
async def test_what_vertex_refuses_is_refused(client: Client, case: str) -> None:
    body, message = VERTEX_REFUSED[case]
    reply = await predict(client, **body)
    assert (reply.status, message in reply.message) == (400, True), reply.text


async def test_gemini_embedding_takes_one_text_at_a_time(client: Client) -> None:
    assert "supports up to 1 instance" in (await predict(client, "a", "b", model="gemini-embedding-001")).message


async def test_models_do_only_what_they_are_for(client: Client) -> None:
    assert (await predict(client, "x", model="gemini-2.5-pro")).status == 404
    assert (await predict(client, "x", model="no-such-model")).status == 404
    assert "does not support generateContent" in (await client.gemini(gemini_body(), "text-embedding-005")).message
    assert (await client.openrouter(chat_body(SMALL))).status == 400


@pytest.mark.parametrize("provider", PATHS)
async def test_nobody_is_let_in_without_the_key(client: Client, provider: str) -> None:
    assert (await client.send(PATHS[provider], {"model": SMALL, "input": "x"}, "wrong")).status == 401
    assert (await client.send(f"{VERTEX}/google/models/text-embedding-005:predict", {}, None)).status == 401


async def test_faults_strike_here_as_well(client: Client, sim: Simulator) -> None:
    sim.fault("openrouter", "status", model=SMALL, status=429, headers={"retry-after": "2"})
    sim.fault("vertex_gemini", "empty_choices")
    assert (await ask(client, input="x")).headers["retry-after"] == "2"
    assert (await ask(client, input="x")).status == 200
    assert (await predict(client, "x")).json == {"data": []}
