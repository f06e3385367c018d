"""From a plain typed function to a tool: schemas, hints, checked arguments.

A tool is `async def name(call: Call, argument: Annotated[type, Field(description=...)] = default, ...) -> Result`, marked
with `@tool(...)`. Its docstring is the description a model reads.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from conversation.errors import InvalidInput
from conversation.messages import Frozen
from providers.names import near
from tools.app import Call
from tools.bounds import cleaned
from tools.results import Result

Function = Callable[..., Awaitable[Result]]
_F = TypeVar("_F", bound=Function)
_HINTS = "tool_hints"


class Hints(Frozen):
    """What a client may assume of a tool; the fields are those of MCP's ToolAnnotations.

    `read_only` is about the caller's surroundings: a tool that only adds to Parley's own threads is, and Claude Code then runs
    several of its calls at once.
    """

    title: str
    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


def tool(
    *, title: str, read_only: bool = False, destructive: bool = False, idempotent: bool = False, open_world: bool = False
) -> Callable[[_F], _F]:
    """Mark a function as a tool and leave it as it is. The flags are what MCP clients are told of it."""
    hints = Hints(title=title, read_only=read_only, destructive=destructive, idempotent=idempotent, open_world=open_world)

    def mark(function: _F) -> _F:
        setattr(function, _HINTS, hints)
        return function

    return mark


class Tool:
    """A marked function with its schemas, which are made on first use."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.name = function.__name__
        self.hints = cast(Hints, getattr(function, _HINTS))
        self.description = " ".join((function.__doc__ or "").split())

    @cached_property
    def _types(self) -> dict[str, Any]:
        return get_type_hints(self.function, include_extras=True)

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model that checks arguments: everything after `call`."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        fields: dict[str, Any] = {
            one.name: (self._types[one.name], ... if one.default is inspect.Parameter.empty else one.default) for one in parameters
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """What a model's context pays for, so without anything it can do without."""
        schema = self.arguments.model_json_schema()
        return cast(dict[str, Any], _compact(_inlined(schema, schema.pop("$defs", {})), _input_noise, nulls=False))

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """The shape of the structured answer; fields with a default may be left out of it."""
        result = cast(type[Result], self._types["return"])
        return cast(dict[str, Any], _compact(result.model_json_schema(), _output_noise, nulls=True))

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the function takes them; null counts as left out. Raises InvalidInput."""
        given = {name: cleaned(value) for name, value in arguments.items() if value is not None}
        try:
            checked = self.arguments.model_validate(given)
        except ValidationError as error:
            names = list(self.arguments.model_fields)
            complaints = [_complaint(row, names) for row in error.errors(include_url=False, include_input=False)[:5]]
            required = [name for name, field in self.arguments.model_fields.items() if field.is_required()]
            takes = ", ".join(f"{name} (required)" if name in required else name for name in names) or "no arguments"
            said = "; ".join(complaints)
            raise InvalidInput(said if said.endswith("?") else f"{said}.", hint=f"{self.name} takes {takes}.") from None
        return {name: getattr(checked, name) for name in checked.model_fields_set}

    async def run(self, call: Call, arguments: Mapping[str, Any]) -> Result:
        """Check the arguments and return the function's answer."""
        return await self.function(call, **self.check(arguments))


def select(functions: Sequence[Function], enabled: Sequence[str] | None = None) -> dict[str, Tool]:
    """Return the tools by name, in their order; only the enabled ones when those are given."""
    found = {tool.name: tool for tool in map(Tool, functions)}
    return found if enabled is None else {name: one for name, one in found.items() if name in enabled}


_EXPECTED: Mapping[str, str] = {
    "missing": "is required",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "string_too_long": "expected at most {max_length:,} characters",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than_equal": "expected at most {le:g}",
    "literal_error": "expected {expected}",
}


def _complaint(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """Say which argument is wrong and what is expected there; the value given is not repeated."""
    path = [str(part)[:60] for part in row["loc"]]
    where = path[0] + "".join(f"[{part}]" for part in path[1:])
    if row["type"] == "extra_forbidden":
        suggestions = near(path[-1], names, limit=1)
        return f"unknown argument '{where}'" + "".join(f", did you mean '{one}'?" for one in suggestions)
    expected = _EXPECTED.get(row["type"], str(row["msg"])).format(**row.get("ctx", {}))
    return f"{where} {expected}" if expected.startswith("is ") else f"{where}: {expected}"


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return the schema with each reference replaced by what it refers to: not every client follows them."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    node = cast(dict[str, Any], schema)
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    return {key: _inlined(value, definitions) for key, value in {**definitions.get(name, {}), **node}.items() if key != "$ref"}


def _compact(schema: Any, noise: Callable[[str, Any], bool], *, nulls: bool) -> Any:
    """Return the schema without noise; without nulls, `X or null` is X."""
    if isinstance(schema, list):
        return [_compact(part, noise, nulls=nulls) for part in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    node = cast(dict[str, Any], schema)
    kept = {key: value for key, value in node.items() if not noise(key, value)}
    options = [part for part in kept.get("anyOf", ()) if nulls or part != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        kept = {**options[0], **kept}
    return {key: _compact(value, noise, nulls=nulls) for key, value in kept.items()}


def _input_noise(key: str, value: Any) -> bool:
    """Titles repeat the names, and a default that is nothing says nothing."""
    return (key == "title" and isinstance(value, str)) or (key == "default" and value in (None, [], ""))


def _output_noise(key: str, value: Any) -> bool:
    """Also docstrings, which speak to readers of the code, and closedness: an answer may gain fields."""
    return _input_noise(key, value) or key == "default" or (key == "description" and isinstance(value, str)) or value is False
