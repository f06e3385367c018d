"""Live model lists: read tolerantly, fetched in the background, kept on disk for a day."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conversation.errors import UpstreamError
from providers import _live
from providers._live import LiveLists, github_source, openrouter_source, read_models

GITHUB = github_source("https://models.example/inference", "ghp_test")
OPENROUTER = openrouter_source("https://router.example/api/v1/", "sk-or-test")

GITHUB_LIST: list[Any] = [
    {
        "id": "openai/gpt-4.1",
        "limits": {"max_input_tokens": 1_048_576, "max_output_tokens": 32_768},
        "supported_input_modalities": ["text", "image"],
        "supported_output_modalities": ["text"],
        "capabilities": ["streaming"],
        "tags": [],
    },
    {"id": "openai/o9", "limits": None, "supported_input_modalities": "text", "capabilities": ["Reasoning"]},
    {"id": "openai/text-embedding-3", "supported_output_modalities": ["embeddings"]},
]
OPENROUTER_LIST: dict[str, Any] = {
    "data": [
        {
            "id": "x/large",
            "context_length": 200_000,
            "pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"},
            "top_provider": {"max_completion_tokens": 64_000},
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "supported_parameters": ["temperature", "reasoning"],
        },
        {
            "id": "x/plain",
            "pricing": {"prompt": "-1", "completion": "free"},
            "top_provider": {"context_length": 9_000},
            "supported_parameters": ["seed"],
        },
        {"id": "x/painter", "architecture": {"output_modalities": ["image"]}},
    ]
}


class Upstream:
    """Answers fetches by URL and remembers them."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, Mapping[str, str], int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, url: str, headers: Mapping[str, str], limit: int) -> bytes:
        self.asked.append((url, headers, limit))
        await self.gate.wait()
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def upstream() -> Upstream:
    return Upstream({GITHUB.url: GITHUB_LIST, OPENROUTER.url: OPENROUTER_LIST})


def lists(folder: Path, fetch: Upstream, clock: Clock | None = None) -> LiveLists:
    return LiveLists([GITHUB, OPENROUTER], folder / "cache", fetch, clock=clock or Clock())


def ids(live: LiveLists, provider: str = "openrouter") -> list[str]:
    return [model.id for model in live.models(provider)]


def test_the_catalogue_of_github_is_on_the_origin_of_its_endpoint() -> None:
    assert GITHUB.url == "https://models.example/catalog/models"
    assert OPENROUTER.url == "https://router.example/api/v1/models"
    assert "ghp_test" not in repr(GITHUB) and "sk-or-test" not in repr(OPENROUTER)


def test_rows_give_windows_limits_prices_and_what_a_model_takes() -> None:
    gpt, reasoner = read_models(GITHUB, GITHUB_LIST)
    assert (gpt.id, gpt.context_window, gpt.max_output, gpt.images, gpt.reasoning) == ("openai/gpt-4.1", 1_048_576, 32_768, True, False)
    assert (reasoner.id, reasoner.images, reasoner.reasoning, reasoner.context_window) == ("openai/o9", False, True, 128_000)
    large, plain = read_models(OPENROUTER, OPENROUTER_LIST)
    assert (large.context_window, large.max_output, large.images, large.reasoning) == (200_000, 64_000, True, True)
    assert (large.input_usd_per_mtok, large.output_usd_per_mtok, large.cached_usd_per_mtok) == (3.0, 15.0, 0.3)
    assert large.drop == frozenset()
    assert (plain.context_window, plain.input_usd_per_mtok, plain.output_usd_per_mtok) == (9_000, None, None)
    assert plain.drop == {"temperature"} and plain.source == "live"


@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        "x/y",
        [],
        {},
        {"id": None},
        {"id": 3},
        {"id": ""},
        {"id": "a b"},
        {"id": "x/large\n"},
        {"id": "a" * 300},
        {"id": "x/" + "\u00e9"},
        {"id": "x/LARGE"},
    ],
)
def test_odd_rows_are_passed_over(row: Any) -> None:
    document = {"data": [OPENROUTER_LIST["data"][0], row]}
    assert [model.id for model in read_models(OPENROUTER, document)] == ["x/large"]


@pytest.mark.parametrize(
    "odd",
    [
        {"context_length": "many"},
        {"context_length": -5},
        {"context_length": True},
        {"context_length": 1e300},
        {"pricing": []},
        {"pricing": {"prompt": {}}},
        {"pricing": {"prompt": "nan"}},
        {"top_provider": 3},
        {"architecture": None},
        {"supported_parameters": [1, None]},
    ],
)
def test_odd_fields_leave_the_default(odd: dict[str, Any]) -> None:
    (model,) = read_models(OPENROUTER, {"data": [{"id": "x/y", **odd}]})
    assert model.context_window == 128_000
    assert model.input_usd_per_mtok is None


@pytest.mark.parametrize("document", [None, 3, "text", {}, {"data": {}}])
def test_a_document_that_is_no_list_is_an_error(document: Any) -> None:
    for source in (GITHUB, OPENROUTER):
        with pytest.raises(ValueError, match="not a list"):
            list(read_models(source, document))


def test_a_list_is_bounded() -> None:
    assert len(list(read_models(OPENROUTER, {"data": [{"id": f"x/{n}"} for n in range(_live.MAX_MODELS + 50)]}))) == _live.MAX_MODELS


async def test_nothing_is_fetched_before_the_first_use_and_a_use_never_waits(tmp_path: Path) -> None:
    fetch = upstream()
    fetch.gate.clear()
    live = lists(tmp_path, fetch)
    assert not fetch.asked and not live.awaited()
    live.use()
    live.use()
    assert ids(live) == [] and live.awaited()
    fetch.gate.set()
    await live.refresh()
    assert ids(live) == ["x/large", "x/plain"] and ids(live, "github_models") == ["openai/gpt-4.1", "openai/o9"]
    assert sorted(url for url, _, _ in fetch.asked) == [GITHUB.url, OPENROUTER.url]
    assert live.version == 2 and not live.awaited()
    assert all(limit == _live.MAX_BYTES and headers["Authorization"].startswith("Bearer ") for _, headers, limit in fetch.asked)
    await live.aclose()


def test_without_an_event_loop_the_lists_on_disk_are_all_there_is(tmp_path: Path) -> None:
    fetch = upstream()
    live = lists(tmp_path, fetch)
    live.use()
    assert ids(live) == [] and not fetch.asked


async def test_a_list_is_kept_on_disk_for_a_day_and_holds_no_key(tmp_path: Path) -> None:
    clock, fetch = Clock(), upstream()
    await lists(tmp_path, fetch, clock).refresh()
    files = sorted((tmp_path / "cache").iterdir())
    assert [file.name for file in files] == ["models-github_models.json", "models-openrouter.json"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert not any(key in file.read_text() for file in files for key in ("ghp_test", "sk-or-test"))

    clock.now += 23 * 3600
    again = upstream()
    live = lists(tmp_path, again, clock)
    await live.refresh()
    assert live.models("openrouter") == tuple(read_models(OPENROUTER, OPENROUTER_LIST))
    assert not again.asked

    clock.now += 2 * 3600
    await live.refresh()
    assert len(again.asked) == 2


@pytest.mark.parametrize(
    "failure",
    [UpstreamError("down"), OSError("refused"), TimeoutError(), b"<html>", b"{}", b'{"data": [{"id": 1}]}', b"[" * 100_000, b"\xff\xfe"],
)
async def test_a_stale_list_is_used_when_no_new_one_comes(tmp_path: Path, failure: Exception | bytes) -> None:
    clock = Clock()
    await lists(tmp_path, upstream(), clock).refresh()
    clock.now += 30 * 24 * 3600
    broken = Upstream({GITHUB.url: GITHUB_LIST, OPENROUTER.url: failure})
    live = lists(tmp_path, broken, clock)
    live.use()
    assert ids(live) == ["x/large", "x/plain"]
    await live.refresh()
    assert ids(live) == ["x/large", "x/plain"]
    asked = len(broken.asked)
    await live.refresh()
    assert len(broken.asked) == asked, "a failed fetch is not tried again at once"
    clock.now += _live.RETRY_SECONDS + 1
    await live.refresh()
    assert len(broken.asked) == asked + 1


STORED = {"url": OPENROUTER.url, "fetched": 1, "models": [{"id": "a"}]}
BROKEN = [
    {"url": 1},
    {"models": []},
    {**STORED, "fetched": "x"},
    {**STORED, "models": [{"id": "a", "surprise": 1}]},
    {**STORED, "models": [3]},
    {**STORED, "url": "https://elsewhere"},
]


@pytest.mark.parametrize("stored", ["", "nonsense", "[]", "3", "{}", "[" * 100_000, *map(json.dumps, BROKEN)])
async def test_a_broken_or_foreign_file_on_disk_counts_as_none(tmp_path: Path, stored: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "models-openrouter.json").write_text(stored)
    fetch = upstream()
    live = lists(tmp_path, fetch)
    live.use()
    assert ids(live) == []
    await live.refresh()
    assert ids(live) == ["x/large", "x/plain"]


async def test_a_clock_set_back_does_not_keep_a_list_for_years(tmp_path: Path) -> None:
    clock = Clock()
    await lists(tmp_path, upstream(), clock).refresh()
    clock.now -= 365 * 24 * 3600
    later = upstream()
    live = lists(tmp_path, later, clock)
    await live.refresh()
    clock.now += _live.FRESH_SECONDS + 1
    await live.refresh()
    assert len(later.asked) == 2


async def test_the_state_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    await LiveLists([GITHUB], tmp_path / "home" / "cache", upstream()).refresh()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home", tmp_path / "home" / "cache")] == [0o700, 0o700]


async def test_a_folder_that_cannot_be_written_costs_nothing_but_the_file(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    live = lists(tmp_path, upstream())
    await live.refresh()
    assert ids(live) == ["x/large", "x/plain"]


async def test_a_file_that_cannot_be_replaced_leaves_no_litter(tmp_path: Path) -> None:
    (tmp_path / "cache" / "models-openrouter.json" / "in the way").mkdir(parents=True)
    live = lists(tmp_path, upstream())
    await live.refresh()
    assert ids(live) == ["x/large", "x/plain"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["models-github_models.json", "models-openrouter.json"]


async def test_closing_stops_a_fetch_that_hangs(tmp_path: Path) -> None:
    fetch = upstream()
    fetch.gate.clear()
    live = lists(tmp_path, fetch)
    live.use()
    await asyncio.sleep(0)
    await live.aclose()
    await live.aclose()
    assert ids(live) == []


async def test_without_sources_there_is_nothing_to_do(tmp_path: Path) -> None:
    live = LiveLists([], tmp_path, upstream())
    live.use()
    await live.refresh()
    assert not live.awaited() and live.models("openrouter") == ()
