"""What a PDF file says, read by another process: see _pdf_pages.py, the only importer of pypdf."""

from __future__ import annotations

import base64
import binascii
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

_PROGRAM = Path(__file__).with_name("_pdf_pages.py")
_SECONDS = 10.0
"""For one file. A hundred pages of text take about one."""
_MOST_BYTES = 32 * 1024 * 1024
"""As many as a request to Anthropic's API may have: https://docs.anthropic.com/en/docs/build-with-claude/pdf-support"""
Trouble = Literal["broken", "encrypted", "heavy", "large", "no text", "not now"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of a file's pages, each under its number, or what the trouble with it is."""

    pages: int = 0
    last: int = 0
    """The page the text ends with."""
    text: str = ""
    whole: bool = False
    """Whether nothing was left out: no page, and nothing of the last one."""
    trouble: Trouble | None = None


def read_pdf(data: str, *, seconds: float = _SECONDS, most_bytes: int = _MOST_BYTES) -> Reading:
    """Return what a PDF in base64 says. Takes up to `seconds`: call it in a thread. Raises OSError when no process can be started."""
    try:
        content = base64.b64decode(data)
    except (binascii.Error, ValueError):  # the latter for what is not ASCII
        return Reading(trouble="broken")
    if len(content) > most_bytes:
        return Reading(trouble="large")
    # Isolated (-I) from the folder and the user's own packages, and without our environment, which has keys.
    command = [sys.executable, "-I", str(_PROGRAM)]
    try:
        printed = subprocess.run(  # noqa: S603 - a program of ours, by its full name
            command, input=content, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, env={}, check=False
        ).stdout
    except subprocess.TimeoutExpired as late:  # it was ended; what it had printed counts
        printed = late.stdout or b""
    return _understood(printed)


def _understood(printed: bytes) -> Reading:
    texts: list[str | None] = []
    facts: dict[str, Any] = {}
    for line in printed.split(b"\n")[:-1]:  # what comes after the last line feed is nothing, or a line that broke off
        fact: dict[str, Any] = orjson.loads(line)
        if "text" in fact:
            texts.append(fact["text"])
        else:
            facts |= fact
    pages: int = facts.get("pages", 0)
    if not any(texts):
        return Reading(pages, trouble=_trouble(facts, texts))
    marked = (f"--- Page {number} of {pages} ---\n{_shown(text)}" for number, text in enumerate(texts, 1))
    return Reading(pages, len(texts), "\n\n".join(marked), whole=facts.get("whole", False))


def _trouble(facts: dict[str, Any], texts: list[str | None]) -> Trouble:
    if "trouble" in facts:
        return facts["trouble"]
    if "whole" not in facts:
        return "heavy"  # it was ended before it had come so far
    return "broken" if texts and "" not in texts else "no text"


def _shown(text: str | None) -> str:
    return "(this page cannot be read)" if text is None else text or "(no text on this page)"
