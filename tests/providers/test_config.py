"""The environment, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversation.errors import NotConfigured
from providers import SPECS
from providers._upstream import Upstream
from providers.base import ModelInfo, Timeouts
from providers.config import ProviderSettings, vertex_host, why_not_configured
from providers.proxies import DIRECT
from simulator import write_service_account

BY_NAME = {spec.name: spec for spec in SPECS}


def test_an_empty_environment_gives_the_defaults_and_no_provider(tmp_path: Path) -> None:
    settings = ProviderSettings.from_env({"HOME": str(tmp_path)})
    assert settings.vertex_location == "us-east5"
    assert settings.endpoints == {
        "vertex_claude": "https://us-east5-aiplatform.googleapis.com",
        "vertex_gemini": "https://us-east5-aiplatform.googleapis.com",
        "github_models": "https://models.github.ai/inference",
        "openrouter": "https://openrouter.ai/api/v1",
    }
    assert settings.chain == ("vertex_claude", "vertex_gemini", "github_models", "openrouter")
    assert settings.timeouts == Timeouts(connect=3, first_byte=60, idle=60, total=600)
    assert (settings.hedge_after, settings.breaker_failures, settings.breaker_open_seconds, settings.adapter) == (None, 5, 10, None)
    assert settings.ports == {"router": 8080, "vertex_claude": 8090, "vertex_gemini": 8091, "github_models": 8092, "openrouter": 8093}
    reasons = {spec.name: why_not_configured(spec, settings) for spec in SPECS}
    assert all(reasons.values()) and "GITHUB_TOKEN" in (reasons["github_models"] or "")


def test_what_is_set_is_taken(tmp_path: Path) -> None:
    account = tmp_path / "account.json"
    write_service_account(account, "http://127.0.0.1:1/token")
    settings = ProviderSettings.from_env({
        "GOOGLE_APPLICATION_CREDENTIALS": str(account), "VERTEX_AI_LOCATION": "global", "VERTEX_GEMINI_ENDPOINT": "http://127.0.0.1:9/",
        "GITHUB_TOKEN": "ghp-one", "OPENROUTER_API_KEY": " key-two ", "OPENROUTER_ENDPOINT": "http://127.0.0.1:8/api/v1/",
        "PARLEY_CHAIN": "openrouter, vertex_gemini,openrouter", "PARLEY_ADAPTER": "native", "PARLEY_IDLE_TIMEOUT": "2.5",
        "PARLEY_HEDGE_AFTER": "4", "PARLEY_BREAKER_FAILURES": "2", "PARLEY_DAILY_BUDGET_USD": "0", "PARLEY_PORT_ROUTER": "9000",
    })  # fmt: skip
    assert all(why_not_configured(spec, settings) is None for spec in SPECS)
    assert settings.vertex_project == "sim-project"  # the service account's own
    assert settings.endpoints["vertex_claude"] == "https://aiplatform.googleapis.com"
    assert settings.endpoints["vertex_gemini"] == "http://127.0.0.1:9"
    assert settings.endpoints["openrouter"] == "http://127.0.0.1:8/api/v1"
    assert settings.chain == ("openrouter", "vertex_gemini")
    assert (settings.adapter, settings.timeouts.idle, settings.hedge_after, settings.breaker_failures) == ("native", 2.5, 4, 2)
    assert (settings.daily_budget_usd, settings.ports["router"]) == (0, 9000)
    assert set(settings.secrets()) == {"ghp-one", "key-two"}
    assert "ghp-one" not in repr(settings)


def test_proxies_are_taken_and_their_credentials_are_secrets() -> None:
    settings = ProviderSettings.from_env({"HTTPS_PROXY": "http://me:planted-word@proxy.example:3128", "NO_PROXY": "openrouter.ai"})
    assert settings.proxies.of("https://models.github.ai/inference") and not settings.proxies.of("https://openrouter.ai/api/v1")
    assert "planted-word" in settings.secrets() and "planted-word" not in repr(settings)
    assert ProviderSettings.from_env({"HTTPS_PROXY": "your_proxy_here"}).proxies == DIRECT


def test_placeholders_of_the_templates_count_as_unset(tmp_path: Path) -> None:
    settings = ProviderSettings.from_env({
        "HOME": str(tmp_path), "GITHUB_TOKEN": "your_github_token_here", "GOOGLE_APPLICATION_CREDENTIALS": "your-file-here",
    })  # fmt: skip
    assert settings.keys == {} and settings.google is None
    assert why_not_configured(BY_NAME["github_models"], settings) == "GITHUB_TOKEN holds a placeholder, that is, it is not set."
    assert why_not_configured(BY_NAME["openrouter"], settings) == "OPENROUTER_API_KEY is not set."


def test_a_reference_that_nobody_resolved_counts_as_unset_and_is_told(tmp_path: Path) -> None:
    settings = ProviderSettings.from_env({"HOME": str(tmp_path), "OPENROUTER_API_KEY": "${OPENROUTER_API_KEY}"})
    assert settings.keys == {}
    assert (why_not_configured(BY_NAME["openrouter"], settings) or "").startswith("OPENROUTER_API_KEY holds a ${reference} that nobody")


def test_both_variables_of_vertex_are_named_when_both_are_missing(tmp_path: Path) -> None:
    settings = ProviderSettings.from_env({"HOME": str(tmp_path)})
    assert why_not_configured(BY_NAME["vertex_claude"], settings) == (
        "GOOGLE_CLOUD_PROJECT is not set; GOOGLE_APPLICATION_CREDENTIALS is not set and gcloud has no application default credentials."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_CONNECT_TIMEOUT", "soon"),
        ("PARLEY_TOTAL_TIMEOUT", "0"),
        ("PARLEY_IDLE_TIMEOUT", "nan"),
        ("PARLEY_HEDGE_AFTER", "-1"),
        ("PARLEY_BREAKER_FAILURES", "2.5"),
        ("PARLEY_BREAKER_FAILURES", "0"),
        ("PARLEY_DAILY_BUDGET_USD", "inf"),
        ("PARLEY_PORT_ROUTER", "70000"),
        ("PARLEY_PORT_ROUTER", "8090"),
        ("PARLEY_CHAIN", "vertex_claude,acme"),
        ("PARLEY_CHAIN", ","),
        ("PARLEY_ADAPTER", "magic"),
        ("GOOGLE_CLOUD_PROJECT", "a/b"),
        ("VERTEX_AI_LOCATION", "evil.example/"),
        ("GITHUB_TOKEN", "two words"),
        ("OPENROUTER_API_KEY", "line\nbreak"),
        ("VERTEX_AI_ENDPOINT", "http://127.0.0.1:9/v1"),
        ("VERTEX_AI_ENDPOINT", "127.0.0.1:9"),
        ("OPENROUTER_ENDPOINT", "https://user:word@host/api"),
        ("GITHUB_MODELS_ENDPOINT", "https://host:port"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must ") as caught:
        ProviderSettings.from_env({name: value})
    text = str(caught.value)
    assert "\n" not in text and "user:word" not in text and "two words" not in text


def test_a_broken_credentials_file_is_told(tmp_path: Path) -> None:
    settings = ProviderSettings.from_env({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json"), "GOOGLE_CLOUD_PROJECT": "p"})
    assert "none.json" in (why_not_configured(BY_NAME["vertex_claude"], settings) or "")


def test_an_unconfigured_provider_cannot_be_made() -> None:
    with pytest.raises(NotConfigured, match="GITHUB_TOKEN") as caught:
        Upstream(BY_NAME["github_models"], ProviderSettings(), None)
    assert "models:read" in caught.value.hint


def test_vertex_needs_a_project(tmp_path: Path) -> None:
    account = tmp_path / "account.json"
    write_service_account(account, "http://127.0.0.1:1/token")
    settings = ProviderSettings.from_env({"GOOGLE_APPLICATION_CREDENTIALS": str(account)}).model_copy(update={"vertex_project": None})
    assert why_not_configured(BY_NAME["vertex_gemini"], settings) == "GOOGLE_CLOUD_PROJECT is not set."


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_vertex_hosts_by_location(location: str, host: str) -> None:
    assert vertex_host(location) == f"https://{host}"


def test_every_first_model_is_a_default_with_a_window_and_its_family_name() -> None:
    assert [spec.models[0].name for spec in SPECS] == [
        "vertex_claude/claude-sonnet-4-6", "vertex_gemini/gemini-3.1-pro-preview", "github_models/openai/gpt-4.1",
        "openrouter/anthropic/claude-sonnet-4.6",
    ]  # fmt: skip
    models: list[ModelInfo] = [model for spec in SPECS for model in spec.models]
    assert len({model.name for model in models}) == len(models)
    assert all(model.context_window > model.max_output > 0 for model in models)
    assert {alias for model in models for alias in model.aliases} == {"opus", "sonnet", "haiku", "gemini", "gpt"}


def test_a_model_of_another_location_is_asked_there_unless_the_endpoint_was_set() -> None:
    public = ProviderSettings.from_env({})
    assert public.endpoint("vertex_gemini", "global") == "https://aiplatform.googleapis.com"
    assert public.endpoint("vertex_gemini") == "https://us-east5-aiplatform.googleapis.com"
    own = ProviderSettings.from_env({"VERTEX_AI_ENDPOINT": "http://127.0.0.1:9"})
    assert own.endpoint("vertex_gemini", "global") == "http://127.0.0.1:9"
