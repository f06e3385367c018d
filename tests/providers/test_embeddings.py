"""Embedding models, asked at the simulated upstreams: batches, order, limits, errors, costs and the health record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from conversation.errors import (
    AuthFailed,
    BudgetExceeded,
    ModelNotServed,
    NotConfigured,
    Overloaded,
    ProviderError,
    RateLimited,
    UnknownModel,
    UpstreamTimeout,
)
from memory.health import HealthRecord
from memory.ledger import SpendLedger
from providers import SPECS, _embeddings
from providers._embeddings import Embeddings
from providers._google import GoogleTokens
from providers._http import HttpClient
from providers.base import Timeouts
from providers.budget import Budget
from providers.config import ProviderSettings
from simulator import Simulator
from tests.providers.recorded import Recorded

SMALL = "openrouter/openai/text-embedding-3-small"
NAMES = (SMALL, "github_models/openai/text-embedding-3-small", "vertex_gemini/text-embedding-005", "vertex_gemini/gemini-embedding-001")


class Asked:
    """Embedding models of one process."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings, self.http = settings, HttpClient(connect_timeout=1)
        self.tokens = GoogleTokens(settings.google, proxies=settings.proxies) if settings.google else None
        self.health = HealthRecord(2, 60)
        self.budget: Budget | None = None

    def model(self, name: str = SMALL, **timeouts: float) -> Embeddings:
        settings = self.settings.model_copy(update={"timeouts": Timeouts(**timeouts)})
        return Embeddings(name, SPECS, settings, self.http, self.tokens, health=self.health, budget=self.budget)

    async def aclose(self) -> None:
        await self.http.aclose()
        if self.tokens is not None:
            await self.tokens.aclose()


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def here(sim: Simulator, tmp_path: Path) -> AsyncIterator[Asked]:
    asked = Asked(ProviderSettings.from_env(sim.environment(tmp_path)))
    yield asked
    await asked.aclose()


def bodies(sim: Simulator) -> list[Any]:
    return [entry["body"] for entry in sim.log if entry["route"] == "embeddings"]


@pytest.mark.parametrize("name", NAMES)
async def test_each_text_has_its_vector_at_every_provider(here: Asked, name: str) -> None:
    texts = [f"text number {number}" for number in range(7)]
    model = here.model(name)
    together = await model.embed(texts)
    assert model.name == name and together == [(await model.embed([text]))[0] for text in texts]
    assert await model.embed([]) == []


async def test_many_texts_go_in_several_requests_and_come_back_in_order(here: Asked, sim: Simulator) -> None:
    texts = [f"text {number}" for number in range(230)]
    found = await here.model().embed(texts)
    assert sorted(len(body["input"]) for body in bodies(sim)) == [30, 100, 100]
    assert found[0] != found[229] and found[229] == (await here.model().embed(["text 229"]))[0]


async def test_vertex_is_asked_for_no_more_tokens_at_once_than_it_takes(here: Asked, sim: Simulator) -> None:
    assert len(await here.model("vertex_gemini/text-embedding-005").embed(["many words " * 300] * 40)) == 40
    assert len(bodies(sim)) > 1 and all(entry["status"] == 200 for entry in sim.log)


async def test_gemini_embedding_is_asked_for_one_text_at_a_time_and_told_what_it_is_for(here: Asked, sim: Simulator) -> None:
    await here.model("vertex_gemini/gemini-embedding-001").embed(["one", "two"])
    await here.model("vertex_gemini/gemini-embedding-001").embed(["three?"], is_query=True)
    rows = [body["instances"] for body in bodies(sim)]
    assert sorted((row[0]["content"], row[0]["task_type"]) for row in rows) == [
        ("one", "RETRIEVAL_DOCUMENT"), ("three?", "RETRIEVAL_QUERY"), ("two", "RETRIEVAL_DOCUMENT"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["x " * 50_000, "word " * 50_000, "\u6f22" * 50_000, "9" * 50_000])
@pytest.mark.parametrize("name", NAMES[:3])
async def test_a_text_too_long_is_cut_to_what_the_model_takes(here: Asked, name: str, text: str) -> None:
    assert len(await here.model(name).embed([text])) == 1


async def test_a_text_without_any_word_has_a_vector_as_well(here: Asked, sim: Simulator) -> None:
    assert len(await here.model().embed(["", " \n", "half \ud800 a pair"])) == 3
    assert bodies(sim)[0]["input"] == [".", ".", "half \ufffd a pair"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 429, "headers": {"retry-after": "7"}}, RateLimited),
        ({"kind": "status", "status": 401}, AuthFailed),
        ({"kind": "status", "status": 404}, ModelNotServed),
        ({"kind": "status", "status": 529}, Overloaded),
        ({"kind": "error_json_200", "status": 500}, ProviderError),
        ({"kind": "refuse"}, ProviderError),
        ({"kind": "html_200"}, ProviderError),
        ({"kind": "truncated_json"}, ProviderError),
        ({"kind": "cut_after_content"}, ProviderError),
        ({"kind": "empty_choices"}, ProviderError),
    ],
)
@pytest.mark.parametrize("name", NAMES[:3])
async def test_errors_are_those_of_other_calls(here: Asked, sim: Simulator, name: str, fault: dict[str, Any], kind: type) -> None:
    sim.fault(name.partition("/")[0], times=3, **fault)
    with pytest.raises(kind) as caught:
        await here.model(name).embed(["text"])
    assert caught.value.message.startswith(f"{name}: ")
    assert caught.value.retry_after == (7.0 if fault.get("headers") else None)


async def test_a_token_that_was_revoked_is_renewed_once(here: Asked, sim: Simulator) -> None:
    model = here.model("vertex_gemini/text-embedding-005")
    await model.embed(["before"])
    sim.revoke_tokens()
    assert len(await model.embed(["after"])) == 1
    assert [entry["status"] for entry in sim.log if entry["route"] == "embeddings"] == [200, 401, 200]


@pytest.mark.parametrize("within_s", [0.2, None])
async def test_a_model_that_is_silent_is_not_waited_for_for_ever(here: Asked, sim: Simulator, within_s: float | None) -> None:
    sim.fault("openrouter", "hang_before_headers")
    with pytest.raises(UpstreamTimeout, match=r"no vectors within 0\.2 s"):
        await here.model(first_byte=60.0 if within_s else 0.2).embed(["text"], within_s=within_s)
    await sim.until(lambda log: log[-1]["disconnected"])


async def test_after_some_failures_it_is_left_alone_for_a_while(here: Asked, sim: Simulator) -> None:
    sim.fault("openrouter", "status", status=500, times=2)
    for _ in range(2):
        with pytest.raises(ProviderError, match="HTTP 500"):
            await here.model().embed(["text"])
    with pytest.raises(Overloaded, match="not asked"):
        await here.model().embed(["text"])
    assert len(sim.log) == 2 and len(await here.model(NAMES[1]).embed(["another provider's"])) == 1


async def test_only_failures_in_a_row_count(here: Asked, sim: Simulator) -> None:
    for _ in range(3):
        sim.fault("openrouter", "status", status=500)
        with pytest.raises(ProviderError, match="HTTP 500"):
            await here.model().embed(["text"])
        await here.model().embed(["text"])


async def test_a_probe_that_tells_nothing_lets_another_be_made(here: Asked, sim: Simulator) -> None:
    now = [0.0]
    here.health = HealthRecord(1, 10, clock=lambda: now[0])
    sim.fault("openrouter", "status", status=500)
    sim.fault("openrouter", "status", status=403)
    with pytest.raises(ProviderError, match="HTTP 500"):
        await here.model().embed(["text"])
    now[0] = 11.0
    with pytest.raises(AuthFailed, match="HTTP 403"):
        await here.model().embed(["text"])
    assert len(await here.model().embed(["text"])) == 1


async def test_a_refused_key_sets_nobody_else_of_the_provider_aside(here: Asked, sim: Simulator) -> None:
    sim.fault("openrouter", "status", status=403)
    with pytest.raises(AuthFailed):
        await here.model().embed(["text"])
    assert here.health.snapshot() == {} and len(await here.model().embed(["text"])) == 1


async def test_a_search_that_is_cancelled_leaves_the_connection_and_the_place_free(here: Asked, sim: Simulator) -> None:
    sim.fault("openrouter", "hang_before_headers")
    task = asyncio.create_task(here.model().embed(["text"]))
    await sim.until(lambda log: log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sim.until(lambda log: log[-1]["disconnected"])
    assert len(await here.model().embed(["text"])) == 1


async def test_what_it_costs_is_counted_under_the_memory(here: Asked, tmp_path: Path) -> None:
    here.budget = Budget(SpendLedger(tmp_path / "spent.db"), 1.0)
    for name in NAMES[:3]:
        await here.model(name).embed(["x" * 4_000])
    told = await here.budget.of_today()
    assert list(told["sessions"]) == ["memory"]
    costs = {name: figures["usd"] for name, figures in told["models"].items()}
    assert costs == {"openrouter/openai/text-embedding-3-small": 2e-5, "vertex_gemini/text-embedding-005": 1e-4, NAMES[1]: 0.0}
    here.budget = Budget(here.budget.ledger, 1e-6)
    with pytest.raises(BudgetExceeded):
        await here.model().embed(["x"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody/model", "There is no provider 'nobody'"),
        ("vertex_claude/claude-sonnet-4-5", "vertex_claude has no embedding models"),
    ],
)
def test_a_name_that_can_be_no_embedding_model_is_told(here: Asked, name: str, message: str) -> None:
    with pytest.raises(UnknownModel, match=message) as caught:
        here.model(name)
    assert "openrouter/openai/text-embedding-3-small" in caught.value.hint


def test_a_provider_that_lacks_its_key_is_not_configured() -> None:
    settings = ProviderSettings.from_env({})
    with pytest.raises(NotConfigured, match="OPENROUTER_API_KEY"):
        Embeddings(SMALL, SPECS, settings, HttpClient(), health=HealthRecord(1, 1))


async def test_a_model_that_is_not_listed_can_be_named(here: Asked) -> None:
    with pytest.raises(ModelNotServed):
        await here.model("OpenRouter/some/model").embed(["text"])


def rows(*vectors: Any, **more: Any) -> dict[str, Any]:
    return {"data": [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)], **more}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]}, [[1.0], [2.0]]),
        ({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, [[1.0], [2.0]]),
        (rows([1], [2], usage={"prompt_tokens": True, "cost": True}), [[1], [2]]),
        (rows([1.0]), "1 vectors for 2 texts"),
        (rows([1.0], []), "1 vectors for 2 texts"),
        (rows([1.0], ["1"]), "1 vectors for 2 texts"),
        (rows([1.0], "AACAPw=="), "1 vectors for 2 texts"),
        (rows([1.0], [1.0, 2.0]), "vectors of different lengths"),
        ([], "0 vectors for 2 texts"),
    ],
)
async def test_answers_of_an_odd_shape(server: Recorded, told: Any, expected: Any) -> None:
    settings = ProviderSettings(endpoints={"openrouter": server.base_url}, keys={"openrouter": SecretStr("recorded-key")})
    here = Asked(settings)
    server.parts = [json.dumps(told).encode()]
    try:
        if isinstance(expected, list):
            assert await here.model().embed(["a", "b"]) == expected
        else:
            with pytest.raises(ProviderError, match=expected) as caught:
                await here.model().embed(["a", "b"])
            assert caught.value.cause == "malformed"
    finally:
        await here.aclose()


async def test_an_answer_without_end_is_not_read(server: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_embeddings, "_MOST_BYTES", 100)
    here = Asked(ProviderSettings(endpoints={"openrouter": server.base_url}, keys={"openrouter": SecretStr("recorded-key")}))
    server.parts = [b" " * 101]
    with pytest.raises(ProviderError, match="an answer of more than 100 bytes"):
        await here.model().embed(["a"])
    await here.aclose()
