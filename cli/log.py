"""Logs: one JSON object a line on stderr, without prompts, bodies or keys at any level.

Of our own records the message is written, with secrets taken out. Of other libraries' records only who, where and how bad: their
messages and their exceptions' texts may quote what a caller sent or an upstream answered.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from cli.output import WrongUse
from conversation.scrub import scrub

OURS = ("cli", "conversation", "gateway", "graph", "memory", "parley", "providers", "server", "sessions", "simulator", "tools")
SILENT = (
    "LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "aiohttp", "asyncio", "google", "httpcore", "httpx", "mcp", "openai", "requests",
    "sse_starlette", "urllib3", "uvicorn.access",
)  # fmt: skip
"""Libraries that log bodies, or every request: from these only errors are heard of."""
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {"at": f"{stamp}.{int(record.msecs):03d}Z", "level": record.levelname.lower(), "logger": record.name}
        if record.name.partition(".")[0] in OURS:
            line["message"] = self._clean(record.getMessage())
            extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
            line.update({key: self._clean(value) if isinstance(value, str) else value for key, value in extra.items() if _plain(value)})
        else:
            line["place"] = f"{Path(record.pathname).name}:{record.lineno}"
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])[-6:]
            line["trace"] = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))

    def _clean(self, text: str) -> str:
        return scrub(text if len(text) <= 2000 else text[:2000] + "\u2026", self._secrets)


class Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the moment, and is quiet when nobody reads it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def configure_logging(env: Mapping[str, str], secrets: Sequence[str] = ()) -> None:
    """Send logs to stderr at PARLEY_LOG_LEVEL (warning). Raises WrongUse for a level there is not."""
    wanted = env.get("PARLEY_LOG_LEVEL", "warning").strip().lower()
    if wanted not in LEVELS:
        raise WrongUse(f"PARLEY_LOG_LEVEL must be one of {', '.join(LEVELS)}, not {wanted[:40]!r}")
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    handler = Stderr()
    handler.setFormatter(JsonLines(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(LEVELS[wanted])
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)
    if wanted == "error":
        root.setLevel(logging.ERROR)


def _plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
