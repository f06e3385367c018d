"""Findings as reviewers write them: under the names they use, and whole ones out of what is no review as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self, cast

from pydantic import Field, ValidationError, field_validator, model_validator

from tools.bounds import cleaned
from tools.json_in_text import values
from tools.lenient import Written, known, words

Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")

_SEVERITY_WORDS: Mapping[str, Severity] = {
    **{name: name for name in SEVERITIES},
    "blocker": "critical", "severe": "critical", "fatal": "critical",
    "major": "high", "error": "high", "important": "high",
    "moderate": "medium", "warning": "medium", "normal": "medium",
    "minor": "low", "trivial": "low",
    "note": "info", "nit": "info", "suggestion": "info", "informational": "info", "style": "info", "none": "info",
}  # fmt: skip
_OTHER_KEYS = {
    "file": ("path", "filename", "file_path"),
    "line": ("line_number", "line_start", "start_line", "lineno", "lines"),
    "title": ("summary", "issue", "name"),
    "detail": ("description", "details", "explanation", "message"),
    "suggestion": ("fix", "recommendation", "suggested_fix"),
    "quote": ("code", "snippet", "evidence"),
}


_NAMES = (
    "issues", "findings", "vulnerabilities", "bugs", "problems", "defects", "faults", "errors", "violations", "concerns",
    "security_issues", "code_issues", "review_findings", "review_comments", "comments",
)  # fmt: skip
"""What models call the list of findings."""
_ELSEWHERE = {"errors", "comments"}
"""Of these the empty ones are no review."""
_ALL_KEYS = frozenset({"severity", *_OTHER_KEYS, *(name for names in _OTHER_KEYS.values() for name in names)})
_DEEPEST = 4


class WrittenFinding(Written):
    """One finding in the JSON a reviewer is asked for; what is called otherwise by many models is taken as well."""

    severity: Severity
    file: str = Field(min_length=1)
    line: int | None = None
    title: str = Field(min_length=1)
    detail: str = ""
    suggestion: str = ""
    quote: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, value: Any) -> Any:
        fields = _lowered(value)
        if fields is None:
            return value
        for key, others in _OTHER_KEYS.items():
            named = next((name for name in (key, *others) if name in fields), key)
            if named in fields:
                fields[key] = fields[named]
        return fields

    @field_validator("severity", mode="before")
    @classmethod
    def _one_of_ours(cls, value: Any) -> Any:
        return known(value, _SEVERITY_WORDS)

    @field_validator("line", mode="before")
    @classmethod
    def _first_number(cls, value: Any) -> Any:
        digits = re.search(r"\d{1,7}", "" if isinstance(value, bool) else str(value))
        return int(digits[0]) if digits else None

    _texts = field_validator("title", "quote", "suggestion", "detail", mode="before")(words)


class WrittenReview(Written):
    """The JSON object a reviewer is asked for."""

    issues: list[WrittenFinding]
    summary: str = ""

    _texts = field_validator("summary", mode="before")(words)

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, value: Any) -> Any:
        """Take a bare list, and findings under the names models give them, in text, sorted by severity or some levels down."""
        if isinstance(value, list):
            return {"issues": cast("list[Any]", value)}
        fields = _holding(value)
        if fields is None:
            return value
        issues = _listed(fields)
        if not issues and set(_NAMES) & fields.keys() <= _ELSEWHERE:
            return {}
        if not issues and (other := next(_overlooked(fields), None)):
            raise ValueError(f"{other} holds what looks like findings; put every finding into issues")
        return {"issues": issues, "summary": fields.get("summary") or ""}

    @classmethod
    def joined(cls, several: Sequence[Any]) -> Self:
        """Return all findings, and what each says of the whole: a review may come as one object a file, or after an empty example."""
        summaries = dict.fromkeys(one.summary.strip() for one in several if one.summary.strip())
        return cls(issues=[issue for one in several for issue in one.issues], summary="\n".join(summaries))

    @classmethod
    def has_pieces(cls, text: str) -> bool:
        return bool(salvaged(text))


def _lowered(value: Any) -> dict[str, Any] | None:
    """Return an object's fields under keys in small letters, without what says nothing."""
    if not isinstance(value, dict):
        return None
    return {str(key).strip().lower(): given for key, given in cast("dict[Any, Any]", value).items() if given is not None}


def _holding(value: Any, levels: int = _DEEPEST) -> dict[str, Any] | None:
    """Return the object that has findings under one of their names: the value itself, or one in it."""
    fields = _lowered(value)
    if fields is None or not fields.keys().isdisjoint(_NAMES):
        return fields
    inner = (_holding(one, levels - 1) for one in fields.values()) if levels else iter(())
    return next((one for one in inner if one is not None and not one.keys().isdisjoint(_NAMES)), None)


def _listed(fields: Mapping[str, Any]) -> Any:
    """Return all rows under the names of findings, or what stands there instead: words under one name do not spoil the rows of another."""
    rows: list[Any] = []
    instead: list[Any] = []
    for name in _NAMES:
        given = _unpacked(fields.get(name))
        if isinstance(given, dict):
            given = _sorted_out(cast("dict[str, Any]", given))
        if isinstance(given, list) and (name in _NAMES[:2] or all(isinstance(one, dict) for one in cast("list[Any]", given))):
            rows += cast("list[Any]", given)
        elif given and name != "comments":
            instead.append(given)
    return instead[0] if instead and not rows else rows


def _unpacked(value: Any) -> Any:
    """Return the JSON that a text is, if it is."""
    if not isinstance(value, str):
        return value
    try:
        return cleaned(json.loads(value, strict=False))
    except (ValueError, RecursionError):
        return value


def _sorted_out(by_severity: Mapping[str, Any]) -> list[Any]:
    rows: list[Any] = []
    for severity, found in by_severity.items():
        items = cast("list[Any]", found) if isinstance(found, list) else [found]
        rows += [{"severity": severity, **cast("dict[str, Any]", one)} if isinstance(one, dict) else one for one in items]
    return rows


def _overlooked(fields: Mapping[str, Any], levels: int = _DEEPEST) -> Iterator[str]:
    """Yield the keys, at any level, under which something has the looks of a finding."""
    for name, value in fields.items():
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        inner = [one for one in map(_lowered, items) if one is not None]
        if any("severity" in one or len(_ALL_KEYS & one.keys()) > 2 for one in inner):
            yield name
        elif levels:
            yield from (found for one in inner for found in _overlooked(one, levels - 1))


def salvaged(text: str) -> list[WrittenFinding]:
    """Return the whole findings in a text that is no review as a whole, such as one that was cut off."""
    return [found for value in values(text) for one in _candidates(value) if (found := _finding(one)) is not None]


def _candidates(value: Any) -> Sequence[Any]:
    if isinstance(value, list):
        return cast("list[Any]", value)
    fields = _holding(value)
    inner: Any = [] if fields is None else _listed(fields)
    return cast("list[Any]", inner) if isinstance(inner, list) and inner else [value]


def _finding(value: Any) -> WrittenFinding | None:
    try:
        return WrittenFinding.model_validate(value)
    except ValidationError:
        return None
