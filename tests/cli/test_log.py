"""Logs: JSON lines on stderr, without prompts, bodies or keys at any level."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from cli.log import OURS, SILENT, configure_logging
from cli.output import WrongUse

SECRET = "correct-horse-battery"


class Heard:
    """What has been written to stderr so far."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture, self._text = capture, ""

    def getvalue(self) -> str:
        self._text += self._capture.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Heard]:
    """A stderr to read, and logging as it was afterwards."""
    root = logging.getLogger()
    handlers, level, raised = root.handlers[:], root.level, logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in (*OURS, *SILENT)}
    yield Heard(capsys)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)
    logging.raiseExceptions = raised


def lines(stream: Heard) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_warnings_of_our_own_are_one_json_object_a_line(stderr: Heard) -> None:
    configure_logging({})
    logging.getLogger("providers.chain").warning("first\nline of %s", "two", extra={"provider": "openrouter", "odd": object()})
    logging.getLogger("providers.chain").info("not heard")
    (line,) = lines(stderr)
    assert line.pop("at").endswith("Z")
    assert line == {"level": "warning", "logger": "providers.chain", "message": "first\nline of two", "provider": "openrouter"}


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "DEBUG"])
def test_the_level_counts_for_our_own_records(stderr: Heard, level: str) -> None:
    configure_logging({"PARLEY_LOG_LEVEL": level})
    ours = logging.getLogger("tools.mcp")
    for method in (ours.debug, ours.info, ours.warning, ours.error):
        method("x")
    heard = [line["level"] for line in lines(stderr)]
    assert heard == ["debug", "info", "warning", "error"][["debug", "info", "warning", "error"].index(level.lower()) :]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize(
    "name", ["urllib3", "httpx", "aiohttp.client", "google.auth.transport", "openai._base_client", "mcp.server", "some.library"]
)
def test_other_libraries_never_get_their_words_out(stderr: Heard, level: str, name: str) -> None:
    configure_logging({"PARLEY_LOG_LEVEL": level})
    foreign = logging.getLogger(name)
    for method in (foreign.debug, foreign.info, foreign.warning, foreign.error):
        method("the whole prompt: %s", "tell nobody")
    try:
        raise ValueError("the body: tell nobody")
    except ValueError:
        foreign.exception("tell nobody")
    assert "tell nobody" not in stderr.getvalue() and "prompt" not in stderr.getvalue()
    last = lines(stderr)[-1]
    assert last["logger"] == name and last["error"] == "ValueError" and last["place"].startswith("test_log.py:")


def test_secrets_and_strings_shaped_like_keys_are_taken_out(stderr: Heard) -> None:
    configure_logging({"PARLEY_LOG_LEVEL": "debug"}, secrets=[SECRET])
    ours = logging.getLogger("cli.stdio")
    ours.debug("with %s and sk-or-v1-0123456789abcdef0123", SECRET, extra={"detail": f"Bearer {SECRET}", "where": "/home/someone/x"})
    ours.warning("ghp_0123456789abcdefghij0123456789")
    assert SECRET not in stderr.getvalue() and "0123456789" not in stderr.getvalue() and "someone" not in stderr.getvalue()


def test_exceptions_are_named_with_their_places_and_without_their_texts(stderr: Heard) -> None:
    configure_logging({})
    try:
        raise KeyError("tell nobody")
    except KeyError:
        logging.getLogger("tools.mcp").exception("a defect")
    (line,) = lines(stderr)
    assert line["error"] == "KeyError" and "test_log.py" in line["trace"][-1]
    assert "tell nobody" not in stderr.getvalue()


def test_an_endless_message_is_cut(stderr: Heard) -> None:
    configure_logging({})
    logging.getLogger("cli").warning("x" * 100_000)
    assert len(stderr.getvalue()) < 3000


def test_warnings_of_libraries_name_their_place_only(stderr: Heard) -> None:
    configure_logging({})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("input_value='tell nobody'", UserWarning, stacklevel=1)
    assert lines(stderr)[-1]["logger"] == "py.warnings"
    assert "tell nobody" not in stderr.getvalue()


def test_a_record_that_cannot_be_formatted_or_written_disturbs_nobody(stderr: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging({})
    logging.getLogger("cli").warning("%d", "not a number")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    logging.getLogger("cli").warning("into the void")
    monkeypatch.undo()
    assert stderr.getvalue() == ""


def test_an_unknown_level_is_wrong_configuration() -> None:
    with pytest.raises(WrongUse, match="PARLEY_LOG_LEVEL must be one of debug, info, warning, error, not 'loud'"):
        configure_logging({"PARLEY_LOG_LEVEL": "loud"})
