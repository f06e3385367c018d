"""Which JSON-Schema words Vertex Gemini's `parameters` and `responseSchema` take: an OpenAPI subset, unlike everyone else's."""

from __future__ import annotations

from typing import Any

from .jsonish import as_dict, as_list
from .refusals import Refusal

_KEYS = frozenset({
    "type", "format", "title", "description", "nullable", "default", "items", "minItems", "maxItems", "enum", "properties",
    "propertyOrdering", "required", "minProperties", "maxProperties", "minimum", "maximum", "minLength", "maxLength", "pattern", "example",
    "anyOf",
})
_SNAKE = {
    "min_items": "minItems", "max_items": "maxItems", "property_ordering": "propertyOrdering", "min_properties": "minProperties",
    "max_properties": "maxProperties", "min_length": "minLength", "max_length": "maxLength", "any_of": "anyOf",
}
_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_STRING_FORMATS = frozenset({"enum", "date-time"})


def check_schema(value: Any, where: str) -> None:
    """Refuses a schema with words, types or formats that Gemini does not know."""
    schema = as_dict(value)
    if schema is None:
        raise Refusal(400, f"Invalid value at '{where}' (type.googleapis.com/google.cloud.aiplatform.v1.Schema)")
    for key in schema:
        if _SNAKE.get(key, key) not in _KEYS:
            raise Refusal(400, f'Invalid JSON payload received. Unknown name "{key}" at \'{where}\': Cannot find field.')
    _check_type(schema.get("type"), schema, where)
    for name, child in (as_dict(schema.get("properties")) or {}).items():
        check_schema(child, f"{where}.properties[{name}]")
    missing = [name for name in as_list(schema.get("required")) or [] if name not in (as_dict(schema.get("properties")) or {})]
    if missing:
        raise Refusal(400, f"{where}.required[0]: property is not defined: {missing[0]}")
    if "items" in schema:
        check_schema(schema["items"], f"{where}.items")
    for index, child in enumerate(as_list(schema.get("anyOf", schema.get("any_of"))) or []):
        check_schema(child, f"{where}.any_of[{index}]")


def _check_type(kind: Any, schema: dict[str, Any], where: str) -> None:
    if kind is None:
        return
    if not isinstance(kind, str) or kind.upper() not in _TYPES:
        raise Refusal(400, f"Invalid value at '{where}.type' (type.googleapis.com/google.cloud.aiplatform.v1.Type), \"{kind}\"")
    form = schema.get("format")
    if kind.upper() == "STRING" and form is not None and form not in _STRING_FORMATS:
        raise Refusal(
            400,
            f"Unable to submit request because the schema at {where} specified format \"{form}\"; only 'enum' and 'date-time' are "
            "supported for STRING type.",
        )
    if kind.upper() == "ARRAY" and "items" not in schema:
        raise Refusal(400, f"{where}.items: missing field.")
