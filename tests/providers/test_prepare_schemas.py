"""Schemas of tools for Gemini: legal JSON Schema goes in, and what comes out is taken after LiteLLM's own translation of it."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from typing import Any

import pytest

from providers._schemas import gemini_schema
from simulator.check_gemini_schema import check_schema

pytestmark = pytest.mark.usefixtures("litellm_environment")
STRING = {"type": "string"}
CHAIN = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(1_500)}
BOMB = {f"d{number}": {"properties": {key: {"$ref": f"#/$defs/d{number + 1}"} for key in "xy"}} for number in range(60)}
PROPERTIES: list[tuple[Any, Any]] = [
    (True, {}),
    ({}, {}),
    ("x", {}),
    ({"type": "array", "items": [STRING, {"type": "number"}]}, {"type": "array", "items": STRING}),
    ({"type": "array", "items": []}, {"type": "array", "items": {}}),
    ({"type": "array", "items": True}, {"type": "array", "items": {}}),
    ({"type": "array", "items": False}, {"type": "array", "items": {}}),
    ({"prefixItems": [STRING], "items": False}, {"type": "array", "items": STRING}),
    ({"anyOf": [True, {"type": "null"}]}, {"nullable": True}),
    ({"anyOf": [False, STRING]}, STRING),
    ({"anyOf": [{"type": "null"}]}, {"type": "null"}),
    ({"anyOf": []}, {}),
    ({"oneOf": [STRING, {"type": "integer"}]}, {"anyOf": [STRING, {"type": "integer"}]}),
    (
        {"anyOf": [STRING, {"type": "null"}, {"type": "integer"}], "description": "d"},
        {"anyOf": [{**STRING, "nullable": True}, {"type": "integer", "nullable": True}], "description": "d"},
    ),
    (
        {"allOf": [{"properties": {"x": STRING}, "required": ["x"]}, {"$ref": "#/$defs/A"}], "description": "d"},
        {"type": "object", "properties": {"x": STRING, "a": STRING}, "required": ["x"], "description": "d"},
    ),
    ({"properties": {"x": STRING}, "anyOf": [{"required": ["x"]}, {"properties": {"y": STRING}}]}, {"x": STRING, "y": STRING}),
    ({"const": "x"}, {**STRING, "enum": ["x"]}),
    ({"const": 5}, {"type": "integer"}),
    ({"const": {"a": 1}}, {}),
    ({"enum": ["x", "", None]}, {**STRING, "enum": ["x"], "nullable": True}),
    ({"enum": [1, "x"], "type": "integer"}, {"type": "integer"}),
    ({"type": ["array", "null"], "items": STRING}, {"type": "array", "items": STRING, "nullable": True}),
    ({"type": ["string", "integer"]}, {"type": ["string", "integer"]}),
    ({"type": []}, {}),
    ({"type": {"a": 1}, "default": {"$ref": {}}}, {}),
    ({"$ref": "#/$defs/A", "description": "d"}, {"type": "object", "properties": {"a": STRING}, "description": "d"}),
    ({"$ref": "#/definitions/B~1%25"}, STRING),
    ({"$ref": "#/$defs/Loop"}, {}),
    ({"$ref": "#/nowhere/at/all"}, {}),
    ({"$ref": "#A"}, {}),
    ({"$ref": "http://127.0.0.1:9/x.json"}, {}),
]


@pytest.mark.parametrize(("schema", "expected"), PROPERTIES, ids=str)
def test_a_property_of_any_legal_schema(schema: Any, expected: Any) -> None:
    defs = {"A": {"type": "object", "properties": {"a": STRING}}, "Loop": {"$ref": "#/$defs/Loop"}}
    whole = {"type": "object", "properties": {"p": schema}, "$defs": defs, "definitions": {"B/%": STRING}}
    before = copy.deepcopy(whole)
    found = gemini_schema(whole)
    assert found["properties"]["p"] == expected or found["properties"]["p"] == {"type": "object", "properties": expected}
    assert whole == before
    translated(whole)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {"a": STRING, "b": False}, "required": ["a", "b", "z", 5]}, {"a": STRING}),
        ({"type": "object", "properties": {"$ref": STRING, "a": STRING}, "required": ["$ref"]}, {"a": STRING}),
        ({"anyOf": [{"properties": {"a": STRING}}, {"properties": {"b": STRING}}]}, {"a": STRING, "b": STRING}),
        ({"type": "object", "properties": None, "required": None, "if": True, "not": {}, "patternProperties": {"x": True}}, None),
        (True, None),
        ("words", None),
    ],
    ids=str,
)
def test_a_tool_of_any_legal_schema(schema: Any, expected: Any) -> None:
    assert gemini_schema(schema).get("properties") == expected
    assert set(gemini_schema(schema).get("required", [])) <= set(expected or ())
    translated(schema)


def test_a_schema_within_itself_ends_where_it_begins_again() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}, "all": {"type": "array", "items": {"$ref": "#/$defs/N"}}}}
    found = translated({"type": "object", "properties": {"a": {"$ref": "#/$defs/N"}, "b": {"$ref": "#"}}, "$defs": {"N": node}})
    assert "next" in found["properties"]["a"]["properties"] and "a" in found["properties"]["b"]["properties"]


@pytest.mark.parametrize("defs", [CHAIN, BOMB], ids=["long", "wide"])
def test_references_come_to_an_end(defs: Mapping[str, Any]) -> None:
    assert translated({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs})


def test_schemas_deeper_than_the_translation_goes_are_cut() -> None:
    schema: dict[str, Any] = STRING
    for _ in range(130):
        schema = {"type": "object", "properties": {"n": schema}}
    assert translated(schema)


@pytest.mark.parametrize(
    "name", ["type", "properties", "$ref", "enum", "const", "anyOf", "items", "required", "$defs", "default", "format"]
)
def test_a_property_with_the_name_of_a_keyword(name: str) -> None:
    for schema in (STRING, {"type": "array"}, {"type": "object", "properties": {"x": STRING}}):
        found = translated({"type": "object", "properties": {name: schema}, "required": [name]})
        assert name in found.get("properties", {}) or name == "$ref"


def translated(schema: Any) -> dict[str, Any]:
    """Return what LiteLLM makes of it, which Gemini takes."""
    build: Any = importlib.import_module("litellm.llms.vertex_ai.common_utils").build_vertex_schema
    found = build(copy.deepcopy(gemini_schema(schema)))
    check_schema(found, "parameters")
    return found
