"""What a status, a text or a header from an upstream means."""

from __future__ import annotations

import json

import pytest

from conversation.errors import AuthFailed, ContextTooLong
from providers.causes import CAUSES, cause_of, error_for_status, error_in_body, failure, message_of, parse_retry_after

CLAUDE_TOO_LONG = json.dumps(
    {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}
)


@pytest.mark.parametrize(
    ("status", "text", "cause"),
    [
        (400, "", "invalid_request"),
        (400, CLAUDE_TOO_LONG, "context_too_long"),
        (400, "This endpoint's maximum context length is 10 tokens", "context_too_long"),
        (400, "The input token count (9) exceeds the maximum number of tokens allowed (8).", "context_too_long"),
        (400, '{"error":{"message":"Provider returned error","code":400}}', "upstream_error"),
        (400, "API key not valid. Please pass a valid API key.", "auth_failed"),
        (400, "Your credit balance is too low", "quota"),
        (401, "", "auth_failed"),
        (402, "", "quota"),
        (403, "", "auth_failed"),
        (403, "Quota exceeded for aiplatform", "quota"),
        (404, "", "not_found"),
        (408, "", "timeout"),
        (413, '{"error":{"code":"tokens_limit_reached"}}', "context_too_long"),
        (413, "", "context_too_long"),
        (418, "", "invalid_request"),
        (422, "", "invalid_request"),
        (429, "", "rate_limited"),
        (500, "", "upstream_error"),
        (502, "<html>bad gateway</html>", "upstream_error"),
        (503, "", "overloaded"),
        (504, "", "timeout"),
        (529, "", "overloaded"),
        (599, "", "upstream_error"),
        (302, "", "malformed"),
    ],
)
def test_a_status_and_its_text_have_one_cause(status: int, text: str, cause: str) -> None:
    assert cause_of(status, text) == cause


@pytest.mark.parametrize("value", [None, "", "  ", "soon", "nan", "inf", "-inf", "1e999", "99999999999999999999 GMT", "Mon, 99 Foo 2026"])
def test_a_useless_retry_after_says_nothing(value: str | None) -> None:
    assert parse_retry_after(value) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("9" * 20, 86_400.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 86_400.0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_and_never_negative(value: str, seconds: float) -> None:
    assert parse_retry_after(value, now=60.0) == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("<html><h1>502</h1> nginx</html>", "502 nginx"),
        ('{"error":"flat"}', "flat"),
        ('{"error":{"message":"two\\n lines"}}', "two lines"),
        ('[{"error":{"message":"in an array"}}]', "in an array"),
        ("[]", ""),
        ("7", ""),
        ('{"error":{"message":"outer","metadata":{"raw":"inner"}}}', "outer: inner"),
        ('{"error":7}', ""),
    ],
)
def test_the_message_is_found_in_every_shape_of_error_body(body: str, message: str) -> None:
    assert message_of(body) == message


def test_an_error_carries_status_retry_after_and_a_scrubbed_short_message() -> None:
    body = json.dumps({"error": {"message": "bad key sk-abcdefghijklmnop and hunter2hunter2 in /home/ann/x " + "y" * 900}})
    error = error_for_status("openrouter", "m", 401, {"Retry-After": "7"}, body, secrets=["hunter2hunter2"])
    assert isinstance(error, AuthFailed)
    assert (error.status, error.retry_after, error.provider, error.model, error.cause) == (401, 7.0, "openrouter", "m", "auth_failed")
    assert "hunter2" not in error.message
    assert "sk-abc" not in error.message
    assert "/home/ann" not in error.message
    assert len(error.message) < 330


def test_retry_after_in_milliseconds_is_read_too() -> None:
    assert error_for_status("p", "m", 429, {"retry-after-ms": "1500"}, "").retry_after == 1.5


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ({"code": 429, "message": "slow down"}, "rate_limited"),
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded"),
        ({"type": "invalid_request_error", "message": "prompt is too long: 2 tokens > 1 maximum"}, "context_too_long"),
        ({"message": "no code at all"}, "upstream_error"),
        ("just words", "upstream_error"),
        ({"code": "server_error"}, "upstream_error"),
        ({"code": "429", "message": "slow down"}, "rate_limited"),
        ({"code": "rate_limit_exceeded"}, "rate_limited"),
        ({"code": "42", "type": "overloaded_error"}, "overloaded"),
        ({"code": [429]}, "upstream_error"),
    ],
)
def test_an_error_object_under_200_is_read_by_its_own_code(error: object, cause: str) -> None:
    assert error_in_body("p", "m", error).cause == cause


def test_an_error_object_without_a_message_still_says_something() -> None:
    assert "without a message" in error_in_body("p", "m", {"code": 500}).message


def test_every_cause_makes_its_error() -> None:
    for name, cause in CAUSES.items():
        error = failure(name, "why", provider="p", model="m")
        assert type(error) is cause.error
        assert error.cause == name
    assert isinstance(failure("context_too_long", "x", provider="p", model="m"), ContextTooLong)


@pytest.mark.parametrize("body", ["[" * 60_000, '{"error":' * 60_000, '{"error": {"message": "half \\ud83d"}}'])
def test_an_error_body_of_any_depth_with_any_text_is_told(body: str) -> None:
    error = error_for_status("p", "m", 429, {"retry-after": "7"}, body)
    assert (error.cause, error.retry_after) == ("rate_limited", 7.0)
    error.message.encode()


def test_an_error_object_of_any_depth_is_told() -> None:
    deep: object = "x"
    for _ in range(5_000):
        deep = [deep]
    error = error_in_body("p", "m", {"type": "overloaded_error", "details": deep})
    assert (error.cause, error.status) == ("overloaded", 529)


@pytest.mark.parametrize(
    ("status", "message", "limit"),
    [
        (413, "Request body too large for gpt-4.1 model. Max size: 8000 tokens.", 8_000),
        (400, "prompt is too long: 205000 tokens > 200000 maximum", 200_000),
        (400, "This model's maximum context length is 128,000 tokens. However, your messages resulted in 130000 tokens", 128_000),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
        (413, "too large", None),
    ],
)
def test_the_limit_that_a_provider_names_is_read(status: int, message: str, limit: int | None) -> None:
    error = error_for_status("p", "m", status, {}, json.dumps({"error": {"message": message}}))
    assert isinstance(error, ContextTooLong) and error.limit == limit


@pytest.mark.parametrize("value", ["1_000", "\u0663", "soon", "nan", "1e3", "9" * 30, ""])
def test_a_retry_after_of_another_kind_says_nothing(value: str) -> None:
    assert parse_retry_after(value, now=60.0) is None
