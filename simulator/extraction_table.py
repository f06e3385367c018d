"""What a script says is in episodes, and what it says is to go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from .extraction_changes import same_fact
from .extraction_prompts import ATTRIBUTES, TITLES, Prompt, iso
from .jsonish import Json, as_dict, as_list
from .rules import parse_times

_EPISODE_KEYS = frozenset({"body", "entities", "facts"})
_FACT_KEYS = frozenset({"source", "name", "target", "fact", "valid_at", "invalid_at", "contradicts"})
_NEEDED = ("source", "name", "target", "fact")
_ODD_KEYS = frozenset({"kind", "times", "match", "prompt"})


@dataclass(frozen=True, slots=True)
class RecordedFact:
    """One fact a perfect model finds, and the earlier ones it finds to be so no longer."""

    source: str
    name: str
    target: str
    fact: str
    valid_at: str | None = None
    invalid_at: str | None = None
    contradicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a perfect model finds in one episode."""

    body: str
    entities: tuple[str, ...]
    facts: tuple[RecordedFact, ...]


@dataclass(slots=True)
class Odd:
    """What the next answers to Graphiti's prompts are in place of what was asked for."""

    kind: str
    times: int | None = 1
    match: str | None = None
    prompt: str | None = None

    def fits(self, prompt: Prompt) -> bool:
        """True when it is this prompt's answer that is spoilt."""
        return self.prompt in (None, prompt.kind) and (self.match is None or self.match in prompt.about)


# --- from JSON ------------------------------------------------------------------------------------------------------------------------


def parse_recorded(given: Json) -> Recorded:
    """A recorded extraction from its JSON. Raises ValueError saying what is wrong."""
    _known(given, _EPISODE_KEYS, "an extraction")
    body = given.get("body")
    if not isinstance(body, str) or not body.strip():
        raise ValueError("an extraction needs the body of an episode")
    facts = tuple(_fact(as_dict(one) or {}) for one in as_list(given.get("facts", [])) or [])
    entities = _strings(given.get("entities", []), "entities")
    ends = (name for fact in facts for name in (fact.source, fact.target))
    return Recorded(body.strip(), tuple(dict.fromkeys([*entities, *ends])), facts)


def _fact(given: Json) -> RecordedFact:
    _known(given, _FACT_KEYS, "a fact")
    said = [given.get(key) for key in _NEEDED]
    if not all(isinstance(one, str) and one.strip() for one in said):
        raise ValueError(f"a fact needs {', '.join(_NEEDED)}, each a text")
    times = {key: _time(given[key], key) for key in ("valid_at", "invalid_at") if given.get(key) is not None}
    return RecordedFact(*map(str, said), **times, contradicts=tuple(_strings(given.get("contradicts", []), "contradicts")))


def _time(value: Any, key: str) -> str | None:
    at = iso(value) if isinstance(value, str) else None
    if at is None:
        raise ValueError(f"{key} must be a time in ISO 8601")
    return at


def parse_odd(given: Json) -> Odd:
    """An odd answer from its JSON. Raises ValueError saying what is wrong. `times` is 1 when absent, null or "forever" for ever."""
    _known(given, _ODD_KEYS, "an odd extraction")
    kind, match, prompt = given.get("kind"), given.get("match"), given.get("prompt")
    if kind not in ODD:
        raise ValueError(f"unknown odd extraction {kind!r}; known: {', '.join(ODD)}")
    if match is not None and not isinstance(match, str):
        raise ValueError("match must be a string")
    if prompt is not None and prompt not in TITLES | {ATTRIBUTES}:
        raise ValueError(f"unknown prompt {prompt!r}; known: {', '.join(sorted(TITLES | {ATTRIBUTES}))}")
    return Odd(str(kind), parse_times(given["times"]) if "times" in given else 1, match, prompt)


def _known(given: Json, keys: frozenset[str], what: str) -> None:
    for key in given:
        if key not in keys:
            raise ValueError(f"unknown key {key!r} in {what}; known: {', '.join(sorted(keys))}")


def _strings(value: Any, what: str) -> list[str]:
    given = as_list(value)
    if given is None or not all(isinstance(one, str) and one.strip() for one in given):
        raise ValueError(f"{what} must be a list of texts")
    return [str(one) for one in given]


# --- the table ------------------------------------------------------------------------------------------------------------------------


class Table:
    """The recorded extractions and the odd answers to come."""

    def __init__(self) -> None:
        self._recorded: dict[str, Recorded] = {}
        self._odd: list[Odd] = []

    def add(self, items: Iterable[Recorded]) -> None:
        """Record extractions; a later one of the same body is taken in place of an earlier one."""
        self._recorded.update((item.body, item) for item in items)

    def add_odd(self, odd: Odd) -> None:
        """Append an odd answer."""
        self._odd.append(odd)

    def clear(self) -> None:
        """Forget both."""
        self._recorded.clear()
        self._odd.clear()

    @property
    def counts(self) -> dict[str, int]:
        """How many are recorded, and how many odd answers are to come."""
        return {"extractions": len(self._recorded), "odd_extractions": len(self._odd)}

    def of_episode(self, body: str) -> Recorded | None:
        """What is recorded of an episode: of its very text, or of the longest text it holds."""
        if found := self._recorded.get(body.strip()):
            return found
        return max((item for text, item in self._recorded.items() if text in body), key=lambda item: len(item.body), default=None)

    def of_fact(self, fact: str) -> list[RecordedFact]:
        """What is recorded of a fact, in any episode."""
        return [one for item in self._recorded.values() for one in item.facts if same_fact(one.fact, fact)]

    def take_odd(self, prompt: Prompt) -> str | None:
        """The kind of odd answer that this prompt gets, used up once."""
        for odd in self._odd:
            if odd.fits(prompt):
                if odd.times is not None:
                    odd.times -= 1
                    if odd.times == 0:
                        self._odd.remove(odd)
                return odd.kind
        return None


# --- what real models answer in place of what they were asked for --------------------------------------------------------------------

_PROSE = "I have looked at the text and found what is in it. Let me know if you would like it in another form."

ODD: dict[str, Callable[[str, Json], str]] = {
    "schema_echo": lambda text, schema: orjson.dumps(schema).decode(),
    "prose": lambda text, schema: _PROSE,
    "truncated": lambda text, schema: text[: max(1, len(text) * 2 // 3)],
    "fenced": lambda text, schema: f"Here is what I found:\n\n```json\n{text}\n```\n\nLet me know if anything is missing.",
    "list": lambda text, schema: f"[{text}]",
    "empty_object": lambda text, schema: "{}",
}
"""By kind: the answer, from the right one and the schema that was asked for."""
