"""Findings: as reviewers write them, held against the code, and the equal ones of several reviewers made one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field, ValidationError, field_validator, model_validator

from conversation.fences import label
from conversation.messages import Frozen
from tools.bounds import clean, cut
from tools.lenient import Written, known, words
from tools.reviewing.anchors import find_place
from tools.reviewing.parts import Excerpt, Part
from tools.reviewing.shapes import Line
from tools.structured import values

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
_CONTEXT_LINES = 40
_WORD = re.compile(r"[a-z][a-z0-9_]{2,}")
_CLOSE = 2


# --- as reviewers write them ---------------------------------------------------------------------------------------


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
        if not isinstance(value, dict):
            return value
        fields: dict[str, Any] = {key: given for key, given in cast("dict[str, Any]", value).items() if given is not None}
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
    def _from_list(cls, value: Any) -> Any:
        """Take a bare list, findings under that name, and issues sorted into severities."""
        if isinstance(value, list):
            return {"issues": cast("list[Any]", value)}
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, Any]", value)
        issues = fields.get("issues", fields.get("findings"))
        if isinstance(issues, dict):
            issues = _sorted_out(cast("dict[str, Any]", issues))
        return fields if issues is None else {**fields, "issues": issues}


def _sorted_out(by_severity: Mapping[str, Any]) -> list[Any]:
    rows: list[Any] = []
    for severity, found in by_severity.items():
        items = cast("list[Any]", found) if isinstance(found, list) else [found]
        rows += [{"severity": severity, **cast("dict[str, Any]", one)} if isinstance(one, dict) else one for one in items]
    return rows


def salvaged(text: str) -> list[WrittenFinding]:
    """Return the whole findings in a text that is no review as a whole, such as one that was cut off."""
    return [found for value in values(text) for one in _candidates(value) if (found := _finding(one)) is not None]


def _candidates(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        inner = next((fields[key] for key in ("issues", "findings") if isinstance(fields.get(key), list)), None)
        return cast("list[Any]", inner) if inner is not None else [fields]
    return cast("list[Any]", value) if isinstance(value, list) else []


def _finding(value: Any) -> WrittenFinding | None:
    try:
        return WrittenFinding.model_validate(value)
    except ValidationError:
        return None


# --- held against the code -----------------------------------------------------------------------------------------


class Fault(Frozen):
    """What is wrong, at a line that has the code it quotes, and who says so."""

    severity: Severity
    file: str
    line: int
    title: str
    detail: str
    suggestion: str
    quote: str
    found_by: tuple[str, ...]


class Finding(Fault):
    """A fault as it was found. `context` are the lines around it, for who checks it; `seat` orders reviewers."""

    context: Excerpt
    seat: str = ""


def anchored(written: WrittenFinding, part: Part, reviewer: str, seat: str = "") -> Finding | None:
    """Return the finding at its true line, None when the part has no such file or the file no such code."""
    path = _path(written.file, part)
    if path is None:
        return None
    lines = [line for excerpt in part.excerpts if excerpt.path == path for line in excerpt.lines]
    place = find_place(lines, written.quote, written.line)
    if place is None:
        return None
    is_diff = any(excerpt.is_diff for excerpt in part.excerpts if excerpt.path == path)
    return Finding(
        severity=written.severity,
        file=path,
        line=place.number,
        title=_fit(written.title.strip(), 200),
        detail=_fit(written.detail.strip(), 4_000),
        suggestion=_fit(written.suggestion.strip(), 4_000),
        quote=_fit((place.code or written.quote).strip("\n"), 2_000),
        found_by=(reviewer,),
        context=Excerpt(path, _around(lines, place.number), is_diff),
        seat=seat,
    )


def _fit(words: str, most: int) -> str:
    """Return the words, cut at so many characters: one finding must not crowd out the others."""
    return clean(cut(words, most))


def _path(named: str, part: Part) -> str | None:
    """Return the path of the part that is meant: as it is or as its tag writes it, with a prefix of diffs, or by its end when unique."""
    paths = list(dict.fromkeys(excerpt.path for excerpt in part.excerpts))
    known = {spelling: path for path in reversed(paths) for spelling in (_composed(label(path)), _composed(path))}
    whole = _composed(named.strip())
    return _meant(whole, known) or _meant(whole.strip("`'\""), known)


def _meant(plain: str, known: Mapping[str, str]) -> str | None:
    without_line, slashed = re.sub(r":\d[\d:-]*$", "", plain), plain.replace("\\", "/")
    for candidate in (plain, plain.removeprefix("./"), re.sub(r"^[ab]/", "", plain), without_line, slashed):
        if candidate in known:
            return known[candidate]
    # An absolute path may be longer than ours, any other only shorter: other/app.py is not app.py.
    longer = plain if plain.startswith("/") and ".." not in plain else ""
    ending = {path for spelling, path in known.items() if spelling.endswith(f"/{plain}") or longer.endswith(f"/{spelling}")}
    return ending.pop() if len(ending) == 1 else None


def _composed(path: str) -> str:
    """Return the path in the one form of its letters: macOS gives names with accents apart."""
    return unicodedata.normalize("NFC", path)


def _around(lines: Sequence[Line], number: int) -> tuple[Line, ...]:
    place = next((at for at, line in enumerate(lines) if line.number == number), 0)
    return tuple(lines[max(0, place - _CONTEXT_LINES) : place + _CONTEXT_LINES])


# --- the equal ones made one ---------------------------------------------------------------------------------------


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, worst first and then by place, equal ones as one that names everyone who found it and keeps what each said."""
    kept: list[Finding] = []
    by_file: dict[str, list[int]] = {}
    for one in sorted(findings, key=_order):
        places = by_file.setdefault(one.file, [])
        twin = next((at for at in places if _equal(one, kept[at])), None)
        if twin is None:
            places.append(len(kept))
            kept.append(one)
        else:
            kept[twin] = _joined(kept[twin], one)
    return kept


def _order(one: Finding) -> tuple[int, str, int, str]:
    return SEVERITIES.index(one.severity), one.file, one.line, one.seat


def _joined(kept: Finding, other: Finding) -> Finding:
    said = other.detail and other.detail not in kept.detail
    detail = _fit(f"{kept.detail}\n\n{other.found_by[0]}: {other.detail}".strip(), 4_000) if said else kept.detail
    return kept.model_copy(update={"found_by": tuple(dict.fromkeys((*kept.found_by, *other.found_by))), "detail": detail})


def _equal(one: Finding, other: Finding) -> bool:
    """Tell whether two findings are about the same fault: near each other, and named alike, or alike in all they say.

    One reviewer's two findings at a place are two, unless they say the same: it had a reason to tell them apart.
    """
    if abs(one.line - other.line) > _CLOSE:
        return False
    titles = _likeness(one.title, other.title)
    if set(one.found_by) <= set(other.found_by):
        return one.line == other.line and titles >= 0.8
    same_code = "".join(one.quote.split()) == "".join(other.quote.split())
    everything = _likeness(f"{one.title} {one.detail}", f"{other.title} {other.detail}")
    return titles >= 0.6 or (same_code and titles >= 0.3 and everything >= 0.3) or (same_code and everything >= 0.6)


def _likeness(one: str, other: str) -> float:
    """Return the share of the fewer telling words that both have, 0 to 1."""
    first, second = _telling(one), _telling(other)
    if not first or not second:
        return float(one.strip().lower() == other.strip().lower())
    return len(first & second) / min(len(first), len(second))


def _telling(text: str) -> set[str]:
    """The words that say what it is about, each by its stem, roughly."""
    return {word.rstrip("s") for word in _WORD.findall(text.lower())} - _COMMON


_COMMON_WORDS = """
the and for with that this from when then than are was not can has have its into does will may any all but one two out never always
code line value values function method call calls called caller return returns returned check checked error user input which there
where what because without before after being must should could would nothing something
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Words that stand in many a finding and tell nothing of it."""
