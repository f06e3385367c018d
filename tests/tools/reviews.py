"""What the tests of code reviews have in common: the code, its two faults, and what models say and see."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from providers.base import Call
from tests.tools.house import MODELS

CLAUDE, GEMINI, GPT, ROUTER = (MODELS[name].name for name in MODELS)
CODE = """\
import sqlite3


def find(db: sqlite3.Connection, name: str):
    return db.execute(f"SELECT * FROM users WHERE name = '{name}'")


def last(items):
    return items[len(items)]
"""
INJECTION = {
    "severity": "critical",
    "file": "users.py",
    "line": 5,
    "quote": "return db.execute(f\"SELECT * FROM users WHERE name = '{name}'\")",
    "title": "SQL injection through name",
    "detail": "A name with a quote ends the literal.",
    "suggestion": "Use a parameter.",
}
OFF_BY_ONE = {
    "severity": "high",
    "file": "users.py",
    "line": 9,
    "quote": "return items[len(items)]",
    "title": "Index is out of range",
    "detail": "Always raises IndexError.",
    "suggestion": "items[-1]",
}


def review(*issues: Mapping[str, Any], summary: str = "") -> str:
    return json.dumps({"issues": issues, "summary": summary})


def verdict(word: str, reason: str = "because") -> str:
    return json.dumps({"verdict": word, "reason": reason})


def prompt_of(call: Call) -> str:
    return "".join(block.get("text", "") for block in call.body["messages"][-1]["content"])


def reviewed(call: Call) -> dict[str, str]:
    """Path to what a reviewer was shown of it."""
    return dict(re.findall(r'<file path="([^"]+)">\n(.*?)\n</file>', prompt_of(call), re.DOTALL))


def many(workspace: Path, number: int, lines: int = 40) -> None:
    for n in range(number):
        (workspace / f"m{n:03}.py").write_text("".join(f"value_{n}_{line} = {line}\n" for line in range(lines)))
