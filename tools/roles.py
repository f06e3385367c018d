"""Roles: Markdown files that tell a model how to answer. Each is a value of `role` and an MCP prompt.

A file opens with a title and a description between two lines of three dashes; the rest is what the model is told:

    ---
    title: Planner
    description: Turn a goal into steps
    ---
    You plan work before it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from conversation.errors import InvalidInput
from conversation.messages import Frozen
from providers.names import near


class Role(Frozen):
    """One role; `name` is its file's name without .md."""

    name: str
    title: str
    description: str
    text: str


class RoleBook:
    """The roles there are: Parley's own, then those of the given folders, which win over earlier ones of the same name."""

    def __init__(self, folders: Sequence[Path] = (), *, own: Path | None = None) -> None:
        self._folders = (own or Path(__file__).parent / "prompts", *folders)

    @cached_property
    def roles(self) -> dict[str, Role]:
        """All roles by name, in order of name; read once, at first use."""
        found = {path.stem: path for folder in self._folders for path in sorted(folder.glob("*.md"))}
        return {name: parse_role(name, found[name].read_text("utf-8")) for name in sorted(found)}

    def get(self, name: str) -> Role:
        """Return the role. Raises InvalidInput, listing the roles there are."""
        role = self.roles.get(name)
        if role is None:
            known = ", ".join(near(name, list(self.roles)) or self.roles) or "none yet"
            raise InvalidInput(f"role: there is no role '{name[:80]}'.", hint=f"Leave role out, or use one of: {known}.")
        return role


def parse_role(name: str, text: str) -> Role:
    """Return the role a Markdown file holds; without a head the name is the title."""
    head: dict[str, str] = {}
    body = text.strip()
    if body.startswith("---\n"):
        top, _, body = body[4:].partition("\n---")
        rows = (line.partition(":") for line in top.splitlines())
        head = {key.strip(): value.strip() for key, _, value in rows if value}
    return Role(name=name, title=head.get("title", name), description=head.get("description", ""), text=body.strip())
