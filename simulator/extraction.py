"""Plays Graphiti's prompts: entities, facts, what contradicts what. What a script records wins, the rest is a heuristic.

Every answer satisfies the pydantic model whose schema the prompt carries (graphiti-core 0.31.1), unless a script asks for an odd one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from .asked import Asked
from .extraction_changes import contradicts, is_short_for, same_fact, same_name
from .extraction_episodes import mentioning, read
from .extraction_prompts import ATTRIBUTES, Prompt, iso, recognise
from .extraction_table import ODD, RecordedFact, Table
from .jsonish import Json, as_dict
from .rules import Answer

_SUMMARY = 500
_EMPTY: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


class Played(NamedTuple):
    """An answer to one of Graphiti's prompts: which prompt it was, and the kind of oddity it was spoilt by."""

    answer: Answer
    prompt: str
    odd: str | None


def play(asked: Asked, table: Table) -> Played | None:
    """The answer to one of Graphiti's prompts; None when the request is none of them."""
    prompt = recognise(asked)
    if prompt is None:
        return None
    text = orjson.dumps(_ANSWERS[prompt.kind](prompt, table)).decode()
    odd = table.take_odd(prompt)
    answer = Answer(ODD[odd](text, prompt.schema) if odd else text, "[simulated] Thinking it over." if asked.thinking else "")
    return Played(answer if odd != "truncated" else replace(answer, finish="max_tokens"), prompt.kind, odd)


# --- entities and facts ---------------------------------------------------------------------------------------------------------------


def _entities(prompt: Prompt, table: Table) -> Json:
    recorded = table.of_episode(prompt.about)
    names = recorded.entities if recorded else read(prompt.about, is_message=prompt.is_message).entities
    return {"extracted_entities": [{"name": name, "entity_type_id": 0, "episode_indices": [0]} for name in names]}


def _facts(prompt: Prompt, table: Table, entities: list[str]) -> list[RecordedFact]:
    if recorded := table.of_episode(prompt.about):
        return list(recorded.facts)
    return [RecordedFact(*vars_of) for vars_of in _heuristic(prompt.about, entities)]


def _heuristic(body: str, entities: list[str]) -> Iterable[tuple[str, str, str, str]]:
    return ((fact.source, fact.name, fact.target, fact.fact) for fact in read(body, entities=entities).facts)


def _edge(fact: RecordedFact) -> Json:
    ends = {"source_entity_name": fact.source, "target_entity_name": fact.target}
    return {**ends, "relation_type": fact.name, "fact": fact.fact, "episode_indices": [0]}


def _edges(prompt: Prompt, table: Table) -> Json:
    now = prompt.reference_time()
    facts = _facts(prompt, table, prompt.names())
    return {"edges": [{**_edge(fact), "valid_at": fact.valid_at or now, "invalid_at": fact.invalid_at} for fact in facts]}


def _combined(prompt: Prompt, table: Table) -> Json:
    return {**_entities(prompt, table), "edges": [_edge(fact) for fact in _facts(prompt, table, [])]}


# --- what is the same, and what is no longer so --------------------------------------------------------------------------------------


def _resolutions(prompt: Prompt, table: Table) -> Json:
    existing = [(int(one.get("candidate_id", -1)), str(one.get("name", ""))) for one in prompt.objects("EXISTING ENTITIES")]
    resolved: list[Json] = []
    for entity in prompt.objects("ENTITIES"):
        name = str(entity.get("name", ""))
        number, known = _known(name, existing)
        resolved.append({"id": int(entity.get("id", 0)), "name": known, "duplicate_candidate_id": number})
    return {"entity_resolutions": resolved}


def _known(name: str, existing: list[tuple[int, str]]) -> tuple[int, str]:
    """The number and name of the one that a name is known as; -1 and the name itself when nobody is for certain."""
    same = [one for one in existing if same_name(name, one[1])]
    if same:
        return same[0]
    short = [one for one in existing if is_short_for(name, one[1]) or is_short_for(one[1], name)]
    return short[0] if len(short) == 1 else (-1, name)


def _duplicates(prompt: Prompt, table: Table) -> Json:
    new = prompt.about
    existing, others = prompt.objects("EXISTING FACTS"), prompt.objects("FACT INVALIDATION CANDIDATES")
    recorded = table.of_fact(new)
    named = [text for one in recorded for text in one.contradicts]
    ended: list[int] = []
    for one in [*existing, *others]:
        fact = str(one.get("fact", ""))
        if any(same_fact(fact, text) for text in named) if recorded else contradicts(new, fact):
            ended.append(int(one["idx"]))
    duplicates = [int(one["idx"]) for one in existing if same_fact(new, str(one.get("fact", "")))]
    return {"duplicate_facts": duplicates, "contradicted_facts": ended}


# --- times, summaries, attributes ----------------------------------------------------------------------------------------------------


def _when(fact: str, now: str | None, table: Table) -> Json:
    known = next(iter(table.of_fact(fact)), None)
    return {"valid_at": (known.valid_at if known else None) or now, "invalid_at": known.invalid_at if known else None}


def _timestamps(prompt: Prompt, table: Table) -> Json:
    return _when(prompt.about, prompt.reference_time(), table)


def _batch_timestamps(prompt: Prompt, table: Table) -> Json:
    facts = prompt.objects("FACTS")
    return {"timestamps": [_when(str(one.get("fact", "")), iso(str(one.get("reference_time", ""))), table) for one in facts]}


def _summary(prompt: Prompt, table: Table, name: str, before: str) -> str:
    """What was known of an entity and what an episode says of it, in so many characters."""
    recorded = table.of_episode(prompt.about)
    told = [one.fact for one in recorded.facts if name in (one.source, one.target)] if recorded else mentioning(prompt.about, name)
    lines = dict.fromkeys([*filter(None, before.split("\n")), *told])
    return "\n".join(lines)[:_SUMMARY].rstrip()


def _summaries(prompt: Prompt, table: Table) -> Json:
    found = [(str(one.get("name", "")), str(one.get("summary") or "")) for one in prompt.objects("ENTITIES")]
    summaries = [{"name": name, "summary": _summary(prompt, table, name, before)} for name, before in found]
    return {"summaries": [one for one in summaries if one["summary"]]}


def _one_summary(prompt: Prompt, table: Table) -> Json:
    entity = prompt.object("ENTITY")
    name = str(entity.get("name", ""))
    return {"summary": _summary(prompt, table, name, str(entity.get("summary") or "")) or name}


def _last_lines(prompt: Prompt, table: Table) -> Json:
    """The answer to what is summed up without an episode: its first words."""
    key = next(iter(as_dict(prompt.schema.get("properties")) or {"summary": None}))
    told = prompt.about or prompt.text.strip().rpartition(":\n")[2].strip(' \n[]"')
    return {key: " ".join(told.split())[:_SUMMARY]}


def _attributes(prompt: Prompt, table: Table) -> Json:
    """What is known already; where a value has to be, an empty one."""
    node = prompt.object("ENTITY")
    known = {**(as_dict(node.get("attributes")) or {}), **prompt.object("EXISTING ATTRIBUTES")}
    properties = as_dict(prompt.schema.get("properties")) or {}
    needed = {key: _EMPTY.get(str((as_dict(properties.get(key)) or {}).get("type"))) for key in prompt.schema.get("required", [])}
    return {**needed, **{key: value for key, value in known.items() if key in properties}}


_ANSWERS: dict[str, Callable[[Prompt, Table], Json]] = {
    "ExtractedEntities": _entities,
    "ExtractedEdges": _edges,
    "CombinedExtraction": _combined,
    "NodeResolutions": _resolutions,
    "EdgeDuplicate": _duplicates,
    "EdgeTimestamps": _timestamps,
    "BatchEdgeTimestamps": _batch_timestamps,
    "SummarizedEntities": _summaries,
    "EntitySummary": _one_summary,
    "Summary": _last_lines,
    "SummaryDescription": _last_lines,
    "SagaSummary": _last_lines,
    ATTRIBUTES: _attributes,
}
