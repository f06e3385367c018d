"""Credentials that upstreams repeat and the environment holds: in no answer, on no line of the log, in no file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import ThreadedSimulator
from tests.main_job.mirror import CREDENTIAL, SHAPES, Mirror, mirroring
from tests.main_job.process import Parley, serving
from tests.main_job.wires import PROVIDERS

PLANTED = {
    "GITHUB_TOKEN": "planted+github/credential=41f7",
    "OPENROUTER_API_KEY": "planted-openrouter-credential-9a2b",
    "PARLEY_TOKEN": "planted-parley-token-c3d8",
    "DATABASE_PASSWORD": "planted-password-77e0",
}
"""Of no shape that could be told from ordinary words."""
PROMPT = "nobody-is-to-log-this-prompt"
HOME = "/home/alice"


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    with mirroring() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def leaky_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("leaky")


@pytest.fixture(scope="module")
def leaky(simulated: ThreadedSimulator, mirror: Mirror, leaky_folder: Path) -> Iterator[Parley]:
    """A server at debug level, whose upstreams repeat what they know."""
    changes = {
        **PLANTED,
        "VERTEX_AI_ENDPOINT": mirror.url,
        "GITHUB_MODELS_ENDPOINT": f"{mirror.url}/inference",
        "OPENROUTER_ENDPOINT": f"{mirror.url}/api/v1",
        "PARLEY_LOG_LEVEL": "debug",
        "PARLEY_BREAKER_FAILURES": "1000000",
    }
    with serving(simulated, leaky_folder, **changes) as server:
        yield server


def private_key(folder: Path) -> str:
    return json.loads((folder / "simulated-service-account.json").read_text())["private_key"]


def texts(folder: Path) -> list[str]:
    """What the upstream repeats: each secret by itself, so that a message's limit hides none."""
    return [CREDENTIAL, *PLANTED.values(), private_key(folder), f"at {HOME}/.config/gcloud"]


def forbidden(folder: Path, mirror: Mirror) -> list[str]:
    """Every secret, its first half, and the home folder."""
    key = private_key(folder).splitlines()[1:-1]
    whole = [*PLANTED.values(), mirror.credential.removeprefix("Bearer "), *key]
    return [*whole, *(secret[: len(secret) // 2] for secret in whole), HOME]


def leaks(where: str, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets if secret in where]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_an_upstream_repeats_gets_into_no_answer_log_or_store(
    leaky: Parley, mirror: Mirror, leaky_folder: Path, shape: str, provider: str
) -> None:
    mirror.provider, mirror.shape = provider, SHAPES[shape]
    said: list[str] = []
    for text in texts(leaky_folder):
        mirror.text, before = text, mirror.requests
        said.append(json.dumps(leaky.call("chat", prompt=PROMPT, model=provider).error))
        assert mirror.requests == before + 1
    secrets = forbidden(leaky_folder, mirror)
    assert not leaks("\n".join(said), secrets)
    log = leaky.stderr.read_text()
    assert not leaks(log, secrets) and PROMPT not in log and "Traceback" not in log
    for path in (path for path in (leaky_folder / "parley").rglob("*") if path.is_file()):
        assert not leaks(path.read_bytes().decode("latin-1"), secrets), path.name


def test_a_provider_set_aside_shows_why_without_its_key(leaky: Parley, mirror: Mirror, leaky_folder: Path) -> None:
    """The last of this file: it leaves the providers set aside."""
    for status, provider in ((403, "github_models"), (401, "openrouter"), (402, "vertex_gemini")):
        body = f"not with {CREDENTIAL}, {PLANTED['PARLEY_TOKEN']} or {PLANTED['DATABASE_PASSWORD']}"
        mirror.provider, mirror.text = provider, body
        mirror.shape = lambda one, text, status=status: SHAPES["500 in JSON"](one, text)._replace(status=status)
        assert leaky.call("chat", prompt=PROMPT, model=provider).error["code"] == "auth_failed"
        shown = json.dumps(leaky.call("chat", prompt=PROMPT, model=provider).error)  # set aside by now
        shown += json.dumps(leaky.call("listmodels", provider=provider).answer)
        assert "not with" in shown and not leaks(shown, forbidden(leaky_folder, mirror))
    assert leaky.call("chat", prompt=PROMPT).error["code"] == "all_providers_failed"
    assert not leaks(leaky.stderr.read_text(), forbidden(leaky_folder, mirror))
