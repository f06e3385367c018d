"""Which conversation a request belongs to: a session the client names, or else what was last said in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from conversation.messages import Event, object_of, objects_of

SESSION_HEADER = b"x-claude-code-session-id"
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_IN_USER_ID = re.compile(r"_session_([A-Za-z0-9-]{1,128})$")


def split_path(path: str) -> tuple[str, str]:
    """Return the session of /s/<session>/..., empty for a path without one, and the path without it and without a slash at its end."""
    parts = path.split("/")
    session = ""
    if len(parts) > 2 and parts[1] == "s" and parts[2]:
        session, path = parts[2], "/" + "/".join(parts[3:])
    return session, path.rstrip("/") or "/"


def session_of(in_path: str, in_header: str, body: Mapping[str, Any]) -> str:
    """Return the session a client names: in the path, in Claude Code's header, or in metadata.user_id; empty when in none."""
    for named in (in_path, in_header, _in_metadata(body.get("metadata"))):
        if _SESSION.fullmatch(named):
            return named
    return ""


def _in_metadata(metadata: Any) -> str:
    """Claude Code's user_id is a JSON object with a session_id, or ends with it."""
    user = object_of(metadata).get("user_id")
    if not isinstance(user, str):
        return ""
    try:
        named = object_of(json.loads(user)).get("session_id")
    except (ValueError, RecursionError):
        match = _IN_USER_ID.search(user)
        return match[1] if match else ""
    return named if isinstance(named, str) else ""


def last_said(messages: Any) -> str:
    """Return the key of what the assistant said last and what it answered; empty when it has said nothing yet."""
    turns = objects_of(messages)
    at = next((index for index in range(len(turns) - 1, 0, -1) if turns[index].get("role") == "assistant"), 0)
    return _key(turns[at - 1].get("content"), _gist(turns[at].get("content"))) if at else ""


class Saying:
    """The key of a conversation while an answer of it is passed on: its session, or what `last_said` will give once that is whole."""

    def __init__(self, messages: Any, session: str) -> None:
        self._session = session
        self._asked = next((turn.get("content") for turn in reversed(objects_of(messages))), "")
        self._said: list[str] = []

    def heard(self, batch: Iterable[Event]) -> None:
        """Take note of events that are passed on."""
        if self._session:
            return
        for event in batch:
            if event["type"] == "content_block_delta":
                self._said.append(str(event["delta"].get("text") or ""))
            elif event["type"] == "content_block_start":
                self._said.append(_gist([event["content_block"]]))

    def key(self) -> str:
        """Return the key."""
        return self._session or _key(self._asked, "".join(self._said))


def _key(asked: Any, said: str) -> str:
    return hashlib.blake2b(f"{_gist(asked)}\0{said}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _gist(content: Any) -> str:
    """The words of a message and the ids of its calls: what a client sends back as it was."""
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text") or block.get("id") or block.get("tool_use_id") or "") for block in objects_of(content))
