"""Which of Graphiti's prompts a request is, and what stands in it.

Read from graphiti-core 0.31.1, prompts/*.py: parts stand between <TAG> and </TAG>, each on a line of its own. What an episode says
stands there as it is, so that it may hold such lines too; earlier episodes and lists are JSON or Python literals, in which no line breaks.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from .asked import Asked
from .jsonish import Json, as_dict, as_list

_ASKS_FOR = "Respond with a JSON object in the following format:\n\n"
_OF_ATTRIBUTES = "<<graphiti.attr_extraction.preamble.v1>>"
_LATEST = 4
"""How many of a request's texts are looked through: an answer that was not as asked is followed by another try."""
ATTRIBUTES = "attributes"
TITLES = frozenset({
    "ExtractedEntities", "ExtractedEdges", "CombinedExtraction", "NodeResolutions", "EdgeDuplicate", "EdgeTimestamps",
    "BatchEdgeTimestamps", "SummarizedEntities", "EntitySummary", "Summary", "SummaryDescription", "SagaSummary",
})
_EPISODE = ("CURRENT MESSAGE", "CURRENT_MESSAGE", "CURRENT MESSAGES", "TEXT", "JSON", "NEW FACT", "FACT")
"""The tags around what a prompt is about, as it was told."""
_TOLD = ("MESSAGES", "EPISODES")
_EPISODE_HEAD = re.compile(r"^\[(?:Episode \d+|CONTEXT EPISODE)\] \(timestamp: [^)\n]*\)$\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One of Graphiti's prompts: the title of the answer's schema, or ATTRIBUTES, and its text."""

    kind: str
    schema: Json
    text: str

    @property
    def about(self) -> str:
        """What is to be looked at now: the episode or the fact, without what is told of earlier ones."""
        if tag := self._told_in():
            return _EPISODE_HEAD.sub("", between(self.text, tag))
        lines = [line for tag in _TOLD for line in between(self.text, tag).splitlines()]
        told = _literal(lines[-1]) if lines else ""
        return told if isinstance(told, str) else ""

    @property
    def is_message(self) -> bool:
        """True when every line is said by the one before its colon."""
        return self._told_in() == "CURRENT MESSAGE"

    def _told_in(self) -> str:
        """The first of the tags around what a prompt is about; what is told may hold another."""
        found = {at: tag for tag in _EPISODE if (at := self.text.find(f"<{tag}>\n")) >= 0}
        return found[min(found)] if found else ""

    def objects(self, tag: str) -> list[Json]:
        """The objects of a list."""
        first = self.kind == "EdgeDuplicate"  # its lists come before the fact, all others after what is told
        found = as_list(_literal(_part(self.text, tag, first=first))) or []
        return [one for one in map(as_dict, found) if one is not None]

    def names(self, tag: str = "ENTITIES") -> list[str]:
        """The names in a list of entities."""
        return [str(one.get("name", "")) for one in self.objects(tag)]

    def reference_time(self) -> str | None:
        """The time that "now" is, as ISO 8601 with Z."""
        return iso((_part(self.text, "REFERENCE_TIME") or _part(self.text, "REFERENCE TIME")).partition("#")[0].strip())

    def object(self, tag: str) -> Json:
        """One object."""
        return as_dict(_literal(_part(self.text, tag))) or {}


def iso(text: str) -> str | None:
    """A time as ISO 8601 with Z, None for what is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat().replace("+00:00", "Z")


def recognise(asked: Asked) -> Prompt | None:
    """The one of Graphiti's prompts that a request is, or None."""
    for text in reversed(asked.texts[-_LATEST:]):
        before, marker, after = text.rpartition(_ASKS_FOR)
        if not marker:
            continue
        schema = _schema(after)
        title = schema.get("title")
        if title in TITLES:
            return Prompt(str(title), schema, before)
        if schema and any(_OF_ATTRIBUTES in one for one in asked.texts):
            return Prompt(ATTRIBUTES, schema, before)
    return None


def _schema(text: str) -> Json:
    try:
        return as_dict(orjson.loads(text.strip())) or {}
    except orjson.JSONDecodeError:
        return {}


def between(text: str, tag: str) -> str:
    """What stands between the first <TAG> and the last </TAG>: what is told may hold either."""
    start = text.find(f"<{tag}>\n")
    end = text.rfind(f"</{tag}>")
    return text[start + len(tag) + 3 : end].strip() if 0 <= start < end else ""


def _part(text: str, tag: str, *, first: bool = False) -> str:
    """What stands after the last <TAG>, or the first: in lists there is no line that looks like one."""
    start = (text.find if first else text.rfind)(f"<{tag}>\n")
    return text[start + len(tag) + 3 :].partition(f"</{tag}>")[0].strip() if start >= 0 else ""


def _literal(text: str) -> Any:
    """A value written as JSON or as Python writes it; None for neither."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
