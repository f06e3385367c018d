"""One role file: bytes to a Role, or a Refused that says what is wrong with it. Imported on first use, for it brings yaml along.

Workspace files come from strangers: what is read is bounded, and titles and descriptions are one line without control characters.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError, field_validator

from conversation.messages import Frozen
from tools.bounds import one_line
from tools.refusals import Refused
from tools.roles import REQUEST, Role, RoleArgument

MAX_BYTES = 64 * 1024
_MAX_HEAD = 8 * 1024
"""Characters of front matter: YAML takes a second for what fits into a whole file."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HEAD = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)


class _Plain(yaml.SafeLoader):
    """YAML without what refers to other parts of it: a few hundred bytes of merged aliases grow without end."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise Refused("has front matter with an alias (*): write the value itself")
        if getattr(cast(Any, self).peek_event(), "anchor", None) is not None:
            raise Refused("has front matter with an anchor (&): write the value itself")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: Any) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise Refused("has front matter with a merge key (<<): write the values themselves")


class _Head(Frozen):
    """The front matter."""

    title: str = ""
    description: str = ""
    arguments: tuple[RoleArgument, ...] = (REQUEST,)
    models: tuple[str, ...] = ()
    send: str = ""

    @field_validator("arguments")
    @classmethod
    def _distinct(cls, arguments: tuple[RoleArgument, ...]) -> tuple[RoleArgument, ...]:
        twice = [name for name, number in Counter(one.name for one in arguments).items() if number > 1]
        if twice:
            raise ValueError(f"{twice[0]} is there twice")
        return arguments


def parse_role(name: str, data: bytes) -> Role:
    """Return the role a file holds. Raises Refused; the text says what is wrong."""
    if len(data) > MAX_BYTES:
        raise Refused(f"is larger than {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Refused("is not UTF-8 text") from None
    if "\x00" in text:
        raise Refused("is a binary file")
    head, body = _split(text)
    if not body:
        raise Refused("has no text for the model, below its front matter or at all")
    return Role(
        name=name,
        title=one_line(head.title, 100) or name,
        description=one_line(head.description, 300) or _first_sentence(body),
        text=body,
        arguments=head.arguments,
        models=head.models,
        send=one_line(head.send, 1000),
    )


def check_role_name(name: str) -> None:
    """Raise Refused when a file's name cannot be a role's."""
    if not _NAME.fullmatch(name):
        raise Refused("has a name that is not made of a-z, 0-9, - and _, at most 64 of them, beginning with a letter or digit")


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes, or the first MAX_BYTES and one more. Raises Refused when it is no regular file or cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise Refused("is not a regular file")
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None


def _split(text: str) -> tuple[_Head, str]:
    """Return the front matter, all defaults when there is none, and the rest."""
    if text.partition("\n")[0].rstrip() != "---":
        return _Head(), text.strip()
    match = _HEAD.match(text)
    if match is None:
        raise Refused("has front matter without an end: a second line of three dashes")
    if len(match[1]) > _MAX_HEAD:
        raise Refused(f"has front matter of more than {_MAX_HEAD:,} characters")
    return _head(_loaded(match[1])), text[match.end() :].strip()


def _loaded(head: str) -> Any:
    """Return what the YAML says."""
    try:
        return yaml.load(head, Loader=_Plain)  # noqa: S506 -- it is a safe loader
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 2})" if error.problem_mark else ""
        raise Refused(f"has front matter that is not YAML{line}") from None
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        # PyYAML fails with the last five on tags that do not suit their value, such as !!timestamp x, a 13th month, or 1:1:…:1.0.
        raise Refused("has front matter that is not YAML") from None


def _head(loaded: Any) -> _Head:
    if loaded is None:
        return _Head()
    if not isinstance(loaded, dict):
        raise Refused("has front matter that is not a list of `key: value`")
    given = {key: value for key, value in cast("dict[Any, Any]", loaded).items() if value is not None}  # `title:` alone says nothing
    if isinstance(given.get("models"), str):
        given["models"] = [given["models"]]
    try:
        return _Head.model_validate(given)
    except ValidationError as error:
        raise Refused("; ".join(map(_complaint, error.errors(include_url=False, include_input=False)[:3]))) from None


def _complaint(row: Any) -> str:
    """Say what is wrong with one key."""
    where = ".".join(str(part)[:60] for part in row["loc"])
    if row["type"] == "extra_forbidden":
        return f"has the unknown key '{where}' (known: {', '.join(_Head.model_fields)})"
    return f"has a wrong '{where}': {row['msg']}"


def _first_sentence(body: str) -> str:
    """Return the first sentence of the first line that says something."""
    line = next((line.strip() for line in body.splitlines() if line.strip(" #>*-_`")), "")
    return one_line(re.split(r"(?<=[.!?])\s", line.lstrip("# "), maxsplit=1)[0], 120)
