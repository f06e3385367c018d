"""Scripted answers: which one a request gets, and what it says. Without a script the answer is a labelled echo."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from .asked import Asked
from .jsonish import Json, as_dict, as_list, is_number, is_whole

PROVIDERS = ("vertex_claude", "vertex_gemini", "github_models", "openrouter")
_ECHO = 200
_QUOTE = "quote:"
_PLAIN: dict[str, Callable[[Asked], str]] = {
    "last_user": lambda asked: asked.last_user,
    "model": lambda asked: asked.model.id,
    "provider": lambda asked: asked.provider,
    "images": lambda asked: str(asked.images),
    "turns": lambda asked: str(asked.turns),
}
_TOO_LONG = 2 + max(map(len, _PLAIN))
_BRACE = re.compile("[{}]")
_DEFAULT_CHUNKS = 3
_STRINGS = ("model", "match", "match_last_user", "text", "thinking", "finish", "stop_reason")
_NUMBERS = ("delay_s", "chunk_delay_s")
_KNOWN = frozenset({"provider", "tool_use", "chunks", "usage", "times", *_STRINGS, *_NUMBERS})
_FINISH_WORDS = {
    "stop": "end_turn", "STOP": "end_turn", "length": "max_tokens", "MAX_TOKENS": "max_tokens", "tool_calls": "tool_use",
    "content_filter": "refusal", "SAFETY": "refusal",
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call the simulated model makes."""

    name: str
    input: Json


@dataclass(frozen=True, slots=True)
class Answer:
    """What a simulated model answers, whatever wire carries it. `finish` is in Anthropic's words."""

    text: str = ""
    thinking: str = ""
    tools: tuple[ToolCall, ...] = ()
    finish: str = "end_turn"
    usage: tuple[tuple[str, Any], ...] = ()
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    chunks: int = _DEFAULT_CHUNKS
    bare: bool = False
    """No content at all: no choices, no candidates, no blocks."""
    endless: bool = False
    """Ends without a finish reason."""

    @property
    def output_tokens(self) -> int:
        """At four characters a token."""
        tools = sum(len(call.name) + len(str(call.input)) for call in self.tools)
        return max(1, (len(self.text) + len(self.thinking) + tools) // 4)

    @property
    def thinking_tokens(self) -> int:
        """The part of the output spent thinking."""
        return len(self.thinking) // 4

    def pieces(self, text: str) -> list[str]:
        """The text in the number of pieces it is to be streamed in; joined they are the text."""
        count = max(1, min(self.chunks, len(text)))
        size, extra = divmod(len(text), count)
        cuts = [index * size + min(index, extra) for index in range(count + 1)]
        return [text[start:end] for start, end in itertools.pairwise(cuts)]


@dataclass(slots=True)
class Rule:
    """One scripted answer and when it applies."""

    provider: str
    model: str | None = None
    match: str | None = None
    match_last_user: str | None = None
    text: str = ""
    thinking: str = ""
    tool_use: tuple[ToolCall, ...] = ()
    finish: str | None = None
    usage: tuple[tuple[str, Any], ...] = ()
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    chunks: int = _DEFAULT_CHUNKS
    times: int | None = None

    def fits(self, asked: Asked) -> bool:
        """True when this rule answers that request."""
        if self.provider not in (asked.provider, "*"):
            return False
        if self.model is not None and self.model not in (asked.model.id, asked.model_name):
            return False
        if self.match_last_user is not None and self.match_last_user not in asked.last_user:
            return False
        return self.match is None or self.match in asked.last_user or any(self.match in text for text in asked.texts)

    def answer(self, asked: Asked) -> Answer:
        """The answer to that request, placeholders filled in."""
        finish = self.finish or ("tool_use" if self.tool_use else "end_turn")
        text, thinking = fill(self.text, asked), fill(self.thinking, asked)
        return Answer(text, thinking, self.tool_use, finish, self.usage, self.delay_s, self.chunk_delay_s, self.chunks)


def parse_rule(given: Json) -> Rule:
    """A rule from its JSON. Raises ValueError saying what is wrong.

    Figures in `usage` may be anything JSON has: they are passed on as they stand.
    """
    _check_rule(given)
    plain = {key: given[key] for key in ("model", "match", "match_last_user", "text", "thinking", "chunks", *_NUMBERS) if key in given}
    finish = given.get("finish", given.get("stop_reason"))
    usage = as_dict(given.get("usage", {}))
    if usage is None:
        raise ValueError("usage must be an object")
    for text in (str(given.get("text", "")), str(given.get("thinking", ""))):
        _check_quotes(text)
    return Rule(
        given["provider"],
        tool_use=_parse_tools(given.get("tool_use", [])),
        finish=_FINISH_WORDS.get(finish, finish) if finish is not None else None,
        usage=tuple(usage.items()),
        times=parse_times(given.get("times")),
        **plain,
    )


def _check_rule(given: Json) -> None:
    for key, value in given.items():
        if key not in _KNOWN:
            raise ValueError(f"unknown key {key!r} in a rule; known: {', '.join(sorted(_KNOWN))}")
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError as error:
            raise ValueError(f"{key} cannot be sent as JSON: {error}") from error
    provider = given.get("provider")
    if provider not in (*PROVIDERS, "*"):
        raise ValueError(f"a rule's provider must be one of {', '.join(PROVIDERS)} or *, not {provider!r}")
    for key in _STRINGS:
        if key in given and not isinstance(given[key], str):
            raise ValueError(f"{key} must be a string")
    for key in _NUMBERS:
        value = given.get(key, 0)
        if not is_number(value) or value < 0:
            raise ValueError(f"{key} must be a number of seconds")
    chunks = given.get("chunks", 1)
    if not is_whole(chunks) or chunks < 1:
        raise ValueError("chunks must be a whole number above 0")


def parse_times(value: Any) -> int | None:
    """How often a rule or fault applies; None is for ever."""
    if value is None or value == "forever":
        return None
    if not is_whole(value) or value < 1:
        raise ValueError("times must be a whole number above 0, or null or \"forever\"")
    return int(value)


def _parse_tools(value: Any) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    for raw in as_list(value) or ([value] if as_dict(value) else []):
        call = as_dict(raw) or {}
        name, arguments = call.get("name"), as_dict(call.get("input", {}))
        if not isinstance(name, str) or not name or arguments is None or call.keys() - {"name", "input"}:
            raise ValueError('tool_use must be a list of {"name": ..., "input": {...}}')
        calls.append(ToolCall(name, arguments))
    return tuple(calls)


class Rules:
    """The scripted answers in order; the first that fits wins."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """Append a rule."""
        self._rules.append(rule)

    def clear(self) -> None:
        """Back to the echo."""
        self._rules.clear()

    def __len__(self) -> int:
        return len(self._rules)

    def answer(self, asked: Asked) -> Answer:
        """The scripted answer to that request, or the echo."""
        return self.scripted(asked) or echo(asked)

    def scripted(self, asked: Asked) -> Answer | None:
        """The scripted answer to that request, None when there is none."""
        for rule in self._rules:
            if rule.fits(asked):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times == 0:
                        self._rules.remove(rule)
                return within_limit(rule.answer(asked), asked)
        return None


def echo(asked: Asked) -> Answer:
    """What is answered to what nobody scripted."""
    thinking = "[simulated] Thinking it over." if asked.thinking else ""
    text = f"[simulated {asked.provider} {asked.model.id}] You said: {asked.last_user[:_ECHO]}"
    return within_limit(Answer(text, thinking), asked)


def within_limit(answer: Answer, asked: Asked) -> Answer:
    """Cut at the request's own output limit, as a real model is."""
    if asked.max_tokens is None or answer.output_tokens <= asked.max_tokens or answer.tools:
        return answer
    room = max(1, 4 * asked.max_tokens - len(answer.thinking))
    return Answer(
        answer.text[:room], answer.thinking, (), "max_tokens", answer.usage, answer.delay_s, answer.chunk_delay_s, answer.chunks,
    )


# --- placeholders: {last_user} {model} {provider} {images} {turns} {quote:REGEX}; other braces stay as they are ----------------------


def fill(template: str, asked: Asked) -> str:
    """The template with its placeholders replaced."""
    out: list[str] = []
    at = 0
    for start, end in _placeholders(template):
        inside = template[start + 1:end]
        out += [template[at:start], _PLAIN[inside](asked) if inside in _PLAIN else _quote(inside.removeprefix(_QUOTE), asked)]
        at = end + 1
    return "".join([*out, template[at:]])


def _placeholders(template: str) -> Iterator[tuple[int, int]]:
    """Where the placeholders open and close, in order; none inside another, and none that never closes."""
    at = 0
    for start, end in sorted(_closings(template).items()):
        if start >= at and (template.startswith(_QUOTE, start + 1) or template[start + 1:min(end, start + _TOO_LONG)] in _PLAIN):
            yield start, end
            at = end + 1


def _closings(template: str) -> dict[int, int]:
    """Where each brace closes, counting nested ones (a regex may hold {3}), in one pass; those that close nowhere are left out."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for found in _BRACE.finditer(template):
        if found[0] == "{":
            opened.append(found.start())
        elif opened:
            closing[opened.pop()] = found.start()
    return closing


def _quote(pattern: str, asked: Asked) -> str:
    """The first match anywhere in the request's texts (its first group, when it has one)."""
    regex = re.compile(pattern)
    for text in asked.texts:
        if found := regex.search(text):
            return str(found[1] if regex.groups else found[0])
    return "(nothing to quote)"


def _check_quotes(template: str) -> None:
    at = 0
    for start, end in _placeholders(template):
        _check_closed(template[at:start])
        at = end + 1
        try:
            re.compile(template[start + 1:end].removeprefix(_QUOTE))
        except re.error as error:
            raise ValueError(f"bad regular expression in {{quote:...}}: {error}") from error
    _check_closed(template[at:])


def _check_closed(rest: str) -> None:
    """What is no placeholder should not look like one."""
    if "{" + _QUOTE in rest:
        raise ValueError("there is a {quote: that is never closed: braces in its regular expression have to come in pairs")
