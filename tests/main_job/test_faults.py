"""Every fault the simulated upstreams can play, on every provider: the error when the model was named, the next one's answer when not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest

from simulator import ThreadedSimulator
from simulator.faults import KINDS
from tests.main_job.process import Parley, serving
from tests.main_job.wires import DEFAULTS, HASTY, PROVIDERS, after, asked

QUICK = 5.0
"""Seconds within which a failure is told, on a busy machine too; the models asked have a quarter of a second for their first word."""


@dataclass(frozen=True)
class Row:
    """A fault, and what is to be told of it: the error's code and the attempt's outcome."""

    kind: str
    code: str
    outcome: str
    fault: dict[str, Any] = field(default_factory=dict[str, Any])
    named: str = ""
    elsewhere: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Code and outcome at providers where they differ."""

    def __str__(self) -> str:
        return self.named or " ".join([self.kind, *(f"{key}={value}" for key, value in self.fault.items())])


def status(number: int, code: str, outcome: str, **fault: Any) -> Row:
    return Row("status", code, outcome, {"status": number, **fault})


UNTOLD = {"github_models": ("upstream_error", "upstream_error")}
"""GitHub's errors under 200 have no status in them."""
NOTHING: dict[str, tuple[str, str]] = dict.fromkeys(("vertex_gemini", "openrouter"), ("upstream_error", "empty"))
"""What these have sent before the first content is nothing."""
GATEWAY = "<html><body><h1>502 Bad Gateway</h1></body></html>"
ROWS = [
    status(404, "unknown_model", "not_found"),
    status(408, "timeout", "timeout"),
    status(409, "upstream_error", "upstream_error"),
    status(429, "rate_limited", "rate_limited"),
    status(500, "upstream_error", "upstream_error"),
    Row("status", "upstream_error", "upstream_error", {"status": 502, "body": GATEWAY}, "status 502 with a web page"),
    status(503, "overloaded", "overloaded"),
    status(504, "timeout", "timeout"),
    status(529, "overloaded", "overloaded"),
    Row("status", "upstream_error", "malformed", {"status": 302, "headers": {"location": "http://127.0.0.1:9/"}}, "a redirect"),
    Row("status", "upstream_error", "malformed", {"status": 204, "body": ""}, "status 204"),
    Row("refuse", "upstream_error", "refused"),
    Row("hang_before_headers", "timeout", "timeout"),
    Row("hang_after_headers", "timeout", "timeout"),
    Row("pings_only", "timeout", "timeout", {"seconds": 0.02}),
    Row("delay", "timeout", "timeout", {"seconds": 9}),
    Row("drip", "timeout", "timeout", {"seconds": 9}),
    Row("html_200", "upstream_error", "malformed"),
    Row("empty", "upstream_error", "empty"),
    Row("empty_choices", "upstream_error", "empty"),
    Row("error_json_200", "overloaded", "overloaded", {"status": 529}, elsewhere=UNTOLD),
    Row("error_event", "overloaded", "overloaded", {"status": 529}, elsewhere=UNTOLD),
    Row("error_event", "overloaded", "overloaded", {"status": 529, "n": 2}, elsewhere=UNTOLD),
    Row("cut_before_content", "upstream_error", "truncated"),
    Row("cut_before_content", "upstream_error", "truncated", {"clean": True}, elsewhere=NOTHING),
    Row("cut_before_content", "upstream_error", "truncated", {"reset": True}),
    Row("cut_after_content", "upstream_error", "truncated"),
    Row("cut_after_content", "upstream_error", "truncated", {"clean": True, "n": 2}),
    Row("cut_after_content", "upstream_error", "truncated", {"reset": True}),
    Row("malformed_event", "upstream_error", "malformed"),
    Row("malformed_event", "upstream_error", "malformed", {"n": 0}),
    Row("no_finish", "upstream_error", "truncated"),
    Row("truncated_json", "upstream_error", "truncated"),
]


def test_the_table_has_every_fault_the_simulator_knows() -> None:
    assert {row.kind for row in ROWS} == KINDS - {"expires_in"}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_fault_is_told_when_the_model_was_named_and_passed_by_a_fallback(
    parley: Parley, sim: ThreadedSimulator, row: Row, provider: str
) -> None:
    model, other = f"{provider}/{HASTY[provider]}", after(provider)
    code, outcome = row.elsewhere.get(provider, (row.code, row.outcome))
    sim.rule("*", "a clean answer")
    sim.fault(provider, row.kind, model=HASTY[provider], times=2, **row.fault)
    began = time.monotonic()
    exact, passing = parley.begin("chat", prompt="x", model=model), parley.begin("fallback", prompt="x", chain=[model, other])
    error, answer = exact.outcome().error, passing.outcome().answer
    assert time.monotonic() - began < QUICK
    assert (error["code"], [one["outcome"] for one in error["attempts"]]) == (code, [outcome])
    assert (answer["content"], answer["provider"], answer["model"]) == ("a clean answer", other, DEFAULTS[other])
    assert [(one["provider"], one["outcome"]) for one in answer["attempts"]] == [(provider, outcome), (other, "ok")]
    assert len(asked(sim, provider)) == 2, "each asked once, and nothing tried again"


@pytest.mark.parametrize("drip", [{"seconds": 0.06}, {"seconds": 0, "by": "byte"}], ids=["events", "bytes"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_slow_answer_that_never_pauses_for_long_is_whole(
    parley: Parley, sim: ThreadedSimulator, provider: str, drip: dict[str, Any]
) -> None:
    sim.rule(provider, "a clean answer", chunks=6)
    sim.fault(provider, "drip", model=HASTY[provider], **drip)
    assert parley.chat("x", model=f"{provider}/{HASTY[provider]}")["content"] == "a clean answer"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_request_the_provider_rejects_goes_to_nobody_else(parley: Parley, sim: ThreadedSimulator, provider: str) -> None:
    sim.fault(provider, "status", status=400, message="simulated: no such parameter")
    error = parley.call("fallback", prompt="x", chain=[provider, after(provider)]).error
    assert (error["code"], error["retryable"]) == ("invalid_input", False) and "no such parameter" in error["message"]
    assert [one["outcome"] for one in error["attempts"]] == ["invalid_request"]
    assert not asked(sim, after(provider))


def test_openrouters_provider_returned_error_is_its_providers_fault(parley: Parley, sim: ThreadedSimulator) -> None:
    sim.fault("openrouter", "status", status=400, message="Provider returned error")
    answer = parley.call("fallback", prompt="x", chain=["openrouter", "github_models"]).answer
    assert [(one["outcome"], one["status"]) for one in answer["attempts"]] == [("upstream_error", 400), ("ok", None)]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("value", ["0", "-5", "soon", "nan", "inf", "1e999", "", "Mon, 99 Zzz 2026", formatdate(0, usegmt=True), "9" * 400])
def test_a_retry_after_that_makes_no_sense_is_survived_and_parks_nobody(
    parley: Parley, sim: ThreadedSimulator, provider: str, value: str
) -> None:
    sim.fault(provider, "status", status=429, headers={"retry-after": value})
    assert parley.call("chat", prompt="x", model=provider).error["code"] == "rate_limited"
    assert parley.chat("x", model=provider)["content"]


# --- what a server remembers of a provider for longer than a test lasts ----------------------------------------------------------------


@pytest.fixture
def forgetful(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parley]:
    """A server whose memory of its providers ends with the test."""
    with serving(simulated, tmp_path_factory.mktemp("forgetful")) as server:
        yield server


@pytest.mark.parametrize(
    ("number", "outcome", "order"),
    [
        (401, "auth_failed", PROVIDERS),
        (402, "quota", (PROVIDERS[2], PROVIDERS[3], PROVIDERS[0], PROVIDERS[1])),
        (403, "auth_failed", (PROVIDERS[1], PROVIDERS[3], PROVIDERS[2], PROVIDERS[0])),
    ],
)
def test_refused_credentials_set_a_provider_aside(
    forgetful: Parley, sim: ThreadedSimulator, number: int, outcome: str, order: tuple[str, ...]
) -> None:
    for provider in PROVIDERS:
        sim.fault(provider, "status", status=number, times=None)
    first, second, third, last = order
    error = forgetful.call("chat", prompt="x", model=first).error
    assert (error["code"], error["retryable"], error["attempts"][0]["outcome"]) == ("auth_failed", False, outcome)
    sim.clear_faults(last)
    answer = forgetful.call("fallback", prompt="x", chain=[first, second, third, last]).answer
    assert [one["outcome"] for one in answer["attempts"]] == ["set_aside", outcome, outcome, "ok"]
    assert [one["status"] for one in answer["attempts"]] == [None, number, number, None]
    sim.fault(last, "status", status=number, times=None)
    assert forgetful.call("chat", prompt="x", model=last).error["code"] == "auth_failed"
    assert not any(row["healthy"] for row in forgetful.call("listmodels").answer["providers"])
    expected = dict.fromkeys(PROVIDERS, 1) | {last: 2}
    # The first 401 of Vertex is answered with a new token; that it is refused as well is then known.
    expected["vertex_claude"] += number == 401
    assert {provider: len(asked(sim, provider)) for provider in PROVIDERS} == expected


def test_a_retry_after_parks_the_provider_and_is_never_slept(forgetful: Parley, sim: ThreadedSimulator) -> None:
    values = ["30", "99999999999", formatdate(time.time() + 86_400, usegmt=True)]
    forgetful.chat("get warm", model="openrouter")
    for provider, value in zip(PROVIDERS, values, strict=False):
        sim.fault(provider, "status", status=429, headers={"retry-after": value})
    sim.rule("openrouter", "a clean answer")
    began = time.monotonic()
    for outcome in ("rate_limited", "parked"):
        answer = forgetful.call("fallback", prompt="x").answer
        assert [one["outcome"] for one in answer["attempts"]] == [outcome] * 3 + ["ok"]
    assert time.monotonic() - began < QUICK
    error = forgetful.call("chat", prompt="x", model="vertex_claude").error
    assert (error["code"], error["retryable"], error["attempts"][0]["outcome"]) == ("rate_limited", True, "parked")
    assert [len(asked(sim, provider)) for provider in PROVIDERS[:3]] == [1, 1, 1]
