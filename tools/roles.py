"""Roles: Markdown files that tell a model how to answer. Each is a value of `role` and an MCP prompt.

A file opens with front matter in YAML between two lines of three dashes; the rest is what the model is told:

    ---
    title: Planner
    description: Turn a goal into steps
    arguments: [{name: request, description: What to plan}]
    models: [opus, gpt]
    send: the constraints and what has been decided
    ---
    You plan work before it is done.

All of it may be left out. tools/_role_file.py reads one file; here is which files there are and which of them count.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from pydantic import Field, StrictBool, field_validator

from conversation.errors import InvalidInput
from conversation.messages import Frozen
from providers.names import near
from tools.bounds import one_line
from tools.refusals import Refused

if TYPE_CHECKING:
    from tools.files import FileReader

log = logging.getLogger(__name__)

BUILT_IN = Path(__file__).parent / "prompts" / "roles"
WORKSPACE_FOLDER = ".parley/roles"
MAX_WORKSPACE_FILES = 100
"""More roles than that in one repository are a mistake, or an attempt to keep us busy."""


class RoleArgument(Frozen):
    """One argument of a role's prompt."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = ""
    required: StrictBool = False

    @field_validator("description")
    @classmethod
    def _flat(cls, text: str) -> str:
        return one_line(text, 300)


REQUEST = RoleArgument(name="request", description="What the model is asked")


class Role(Frozen):
    """One role; `name` is its file's name without .md, `text` what the consulted model is told.

    `models` are families or names asked first when the caller names none. `send` is what an asker should put into the prompt
    besides the request. `of_workspace` marks a role that came with the workspace and not from the user.
    """

    name: str
    title: str
    description: str
    text: str
    arguments: tuple[RoleArgument, ...] = (REQUEST,)
    models: tuple[str, ...] = ()
    send: str = ""
    of_workspace: bool = False


@dataclass(slots=True)
class Shelf:
    """The roles found, the names that are taken, by good files or bad, and what was skipped: (name, sentence)."""

    roles: dict[str, Role] = field(default_factory=dict[str, Role])
    taken: set[str] = field(default_factory=set[str])
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def skip(self, name: str, where: str, reason: object) -> None:
        self.skipped.append((name, one_line(f"{where} {reason}.", 500)))


class RoleBook:
    """The roles there are. Files are looked at on every use, so that one that was edited counts at once; they are parsed once.

    Parley's own come first, then those in `home`, then those of `folders`; a later one replaces an earlier one of the same name.
    Last come those in .parley/roles of the workspace, which add names and replace none: a repository must not change what the
    user's own roles say. Safe to use from several threads.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (),
        *,
        own: Path = BUILT_IN,
        home: Path | None = None,
        workspace: FileReader | None = None,
    ) -> None:
        self._optional = (own, home) if home else (own,)
        self._folders = tuple(folders)
        self._workspace = workspace
        self._parsed: dict[str, tuple[bytes, Role | str]] = {}
        self._told: set[str] = set()
        self._lock = Lock()

    @property
    def roles(self) -> dict[str, Role]:
        """All roles by name, in order of name."""
        return dict(sorted(self._told_of().roles.items()))

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each file that was skipped, naming it and the reason."""
        return tuple(sentence for _, sentence in self.look().skipped)

    def get(self, name: str) -> Role:
        """Return the role. Raises InvalidInput, listing the roles there are or saying why this one was skipped."""
        shelf = self._told_of()
        if name in shelf.roles:
            return shelf.roles[name]
        known = ", ".join(near(name, sorted(shelf.roles)) or sorted(shelf.roles)) or "none yet"
        reasons = "".join(f" {sentence}" for skipped, sentence in shelf.skipped if skipped == name)
        raise InvalidInput(f"role: there is no role '{one_line(name, 80)}'.{reasons}", hint=f"Leave role out, or use one of: {known}.")

    def look(self) -> Shelf:
        """Return what is there now."""
        with self._lock:
            shelf = Shelf()
            for folder in (*self._optional, *self._folders):
                self._add_folder(shelf, folder)
            if self._workspace is not None:
                self._add_workspace(shelf, self._workspace)
            return shelf

    def _told_of(self) -> Shelf:
        """Return what is there now, each problem logged once in the life of the process."""
        shelf = self.look()
        for _, sentence in shelf.skipped:
            if sentence not in self._told:
                self._told.add(sentence)
                log.warning("role skipped: %s", sentence)
        return shelf

    def _add_folder(self, shelf: Shelf, folder: Path) -> None:
        from tools._role_file import read_bytes

        try:
            names = os.listdir(folder)
        except OSError as error:
            if folder not in self._optional or error.errno != errno.ENOENT:
                shelf.skip("", str(folder), f"is no folder of roles that can be read ({error.strerror})")
            return
        for name, file in _markdown(names):
            shelf.taken.add(name)
            path = folder / file
            self._add(shelf, name, str(path), partial(read_bytes, path))

    def _add_workspace(self, shelf: Shelf, files: FileReader) -> None:
        from tools._role_file import MAX_BYTES

        try:
            found = list(_markdown(files.listing(WORKSPACE_FOLDER)))
        except Refused as refusal:
            shelf.skip("", WORKSPACE_FOLDER, refusal)
            return
        for name, file in found[:MAX_WORKSPACE_FILES]:
            path = f"{WORKSPACE_FOLDER}/{file}"
            if name in shelf.taken:
                shelf.skip(name, path, "bears the name of a role that is there already, and a workspace cannot replace one")
            else:
                self._add(shelf, name, path, partial(files.take_named, path, MAX_BYTES))
                if name in shelf.roles:
                    shelf.roles[name] = shelf.roles[name].model_copy(update={"of_workspace": True})
        if len(found) > MAX_WORKSPACE_FILES:
            shelf.skip("", WORKSPACE_FOLDER, f"holds {len(found)} roles, of which only the first {MAX_WORKSPACE_FILES} were read")

    def _add(self, shelf: Shelf, name: str, path: str, read: Callable[[], bytes]) -> None:
        """Put the role of one file on the shelf, or the reason why not. What was parsed before is not parsed again."""
        from tools._role_file import check_role_name

        try:
            check_role_name(name)
            data = read()
        except Refused as refusal:
            shelf.skip(name, path, refusal)
            return
        known = self._parsed.get(path)
        if known is None or known[0] != data:
            known = self._parsed[path] = (data, _judged(name, data))
        if isinstance(known[1], Role):
            shelf.roles[name] = known[1]
        else:
            shelf.skip(name, path, known[1])


def _judged(name: str, data: bytes) -> Role | str:
    """Return the role, or what is wrong with it."""
    from tools._role_file import parse_role

    try:
        return parse_role(name, data)
    except Refused as refusal:
        return str(refusal)


def _markdown(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and file name of each Markdown file, in order."""
    return ((name.removesuffix(".md"), name) for name in sorted(names) if name.endswith(".md"))
