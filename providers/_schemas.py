"""JSON schemas of tools as Gemini takes them: the part of OpenAPI that its API knows, in the shape LiteLLM's translation can read.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/Schema. LiteLLM (1.106.2, build_vertex_schema) does the rest: null
as nullable, lists of types as anyOf, types where there are none. It raises for what is legal JSON Schema all the same: `true` in the
place of a schema, lists of items, recursion, a property with the name of a keyword.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from conversation.messages import object_of

Schema = dict[str, Any]

_KEPT = (
    "format",
    "title",
    "description",
    "nullable",
    "default",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
)
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_TYPE_OF: Mapping[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_TYPE_BY_KEY: Mapping[str, str] = {"properties": "object", "items": "array", "prefixItems": "array"}
_SCALARS = (str, int, float, type(None))
_DEEPEST = 30
"""Schemas within schemas; LiteLLM gives up at 100 objects within objects, of which each property is two."""
_MOST_REFERENCES = 1_000
"""References followed in one tool, each of which is a copy of what it names."""
_UNTRANSLATABLE = frozenset({"$ref"})
"""A property of this name is taken for a reference by the translation."""


def gemini_schema(schema: Any) -> Schema:
    """Return a tool's schema for Gemini. What it cannot say is left out, which allows more than the tool does."""
    return _Cleaner(object_of(schema)).cleaned(schema, 0, frozenset()) or {}


class _Cleaner:
    """Cleans one schema, whose references lead into itself."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._references = 0

    def cleaned(self, schema: Any, depth: int, within: frozenset[str]) -> Schema | None:
        """Return the schema, None for one that nothing fits. `within` are the references it stands in, which end at themselves."""
        if schema is False:
            return None
        fields, within = self._followed(object_of(schema), within)
        if depth > _DEEPEST or not fields:
            return {}
        out: Schema = {key: fields[key] for key in _KEPT if key in fields and isinstance(fields[key], _SCALARS)}
        _set_type(out, fields)
        self._set_properties(out, fields, depth, within)
        self._set_items(out, fields, depth, within)
        for part in self._all(fields.get("allOf"), depth, within):
            _join(out, part)
        self._set_choices(out, fields, depth, within)
        _set_required(out, fields)
        return out

    def _followed(self, fields: Mapping[str, Any], within: frozenset[str]) -> tuple[Mapping[str, Any], frozenset[str]]:
        """Return what a reference names, together with what stands beside it; only that where it leads nowhere or in a circle."""
        while isinstance(reference := fields.get("$ref"), str) and reference not in within and self._references < _MOST_REFERENCES:
            self._references += 1
            within |= {reference}
            beside = {key: value for key, value in fields.items() if key != "$ref"}
            fields = {**_target(self._root, reference), **beside}
        return fields, within

    def _all(self, schemas: Any, depth: int, within: frozenset[str]) -> list[Schema]:
        """Return those of a list of schemas that something fits."""
        return [found for item in _list(schemas) if (found := self.cleaned(item, depth + 1, within)) is not None]

    def _set_properties(self, out: Schema, fields: Mapping[str, Any], depth: int, within: frozenset[str]) -> None:
        found = {name: self.cleaned(one, depth + 1, within) for name, one in object_of(fields.get("properties")).items()}
        kept = {name: one for name, one in found.items() if one is not None and name not in _UNTRANSLATABLE}
        if kept:
            out["properties"] = kept

    def _set_items(self, out: Schema, fields: Mapping[str, Any], depth: int, within: frozenset[str]) -> None:
        """Set what an array holds: of a tuple, which has a schema for each place, the first."""
        places = fields.get("prefixItems") or fields.get("items")
        if isinstance(places, list):
            out["items"] = next(iter(self._all(places, depth, within)), Schema())
        elif "items" in fields:
            out["items"] = self.cleaned(places, depth + 1, within) or {}

    def _set_choices(self, out: Schema, fields: Mapping[str, Any], depth: int, within: frozenset[str]) -> None:
        """Set anyOf, where it is all there is to be said: beside properties it can only add to them."""
        choices = [*self._all(fields.get("anyOf"), depth, within), *self._all(fields.get("oneOf"), depth, within)]
        if not choices:
            return
        if "properties" in out or depth == 0:
            for choice in choices:
                out["properties"] = {**choice.get("properties", {}), **out.get("properties", {})}
            return
        some = [choice for choice in choices if choice.get("type") != "null"]
        if len(some) < len(choices):
            some = [{**choice, "nullable": True} for choice in some]
        if len(some) > 1:
            out["anyOf"] = some
        else:
            _join(out, (some or choices)[0])


def _target(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    """Return the object of the schema that a reference names, as RFC 6901 writes it in a URI; an empty one when there is none."""
    start, *steps = reference.split("/")
    found: Any = root if start == "#" else None
    for step in steps:
        found = object_of(found).get(unquote(step).replace("~1", "/").replace("~0", "~"))
    return object_of(found)


def _set_type(out: Schema, fields: Mapping[str, Any]) -> None:
    """Set the type, and the enum, which Gemini has for strings only; a const is an enum of one."""
    values = [fields["const"]] if "const" in fields else _list(fields.get("enum"))
    types = fields.get("type")
    known = [one for one in (_list(types) or [types]) if isinstance(one, str) and one in _TYPES]
    known = known or [one for one in _TYPE_OF.values() if any(_TYPE_OF.get(type(value)) == one for value in values)]
    known = known or list({one: None for key, one in _TYPE_BY_KEY.items() if key in fields})
    if len(known) == 2 and "null" in known:
        known.remove("null")
        out["nullable"] = True
    strings = [value for value in values if isinstance(value, str) and value]
    if strings and known == ["string"]:
        out["enum"] = strings
    if known:
        out["type"] = known[0] if len(known) == 1 else known


def _set_required(out: Schema, fields: Mapping[str, Any]) -> None:
    """Set which properties are required, of those there are."""
    properties = object_of(out.get("properties"))
    names = [*_list(out.pop("required", None)), *_list(fields.get("required"))]
    if kept := [name for name in properties if name in names]:
        out["required"] = kept


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _join(out: Schema, part: Mapping[str, Any]) -> None:
    """Add what a part says to the schema it is a part of; what that says itself holds."""
    properties = {**part.get("properties", {}), **out.get("properties", {})}
    required = [*_list(out.get("required")), *_list(part.get("required"))]
    out.update({**part, **out})
    if properties:
        out["properties"] = properties
    if required:
        out["required"] = required
