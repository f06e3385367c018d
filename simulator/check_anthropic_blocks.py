"""What the Messages API refuses inside `messages` and `system`: blocks, roles, tool ids, signatures."""

from __future__ import annotations

import re
from typing import Any

from .asked import Asked, check_image
from .jsonish import Json, as_dict, as_list
from .refusals import Refusal
from .signing import thinking_signed

_BLOCK_KEYS: dict[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "cache_control", "title", "context", "citations"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
}
_SERVED = frozenset({
    "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result", "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result", "tool_search_tool_result",
})
"""What Anthropic's own servers write; it is taken back as it is."""
_UNCHECKED = _SERVED | {"search_result", "tool_reference"}
_USER_BLOCKS = frozenset({"text", "image", "document", "tool_result", "search_result"})
_ASSISTANT_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"}) | _SERVED
_RESULT_BLOCKS = frozenset({"text", "image", "document", "search_result"})
_ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
_ID_RULE = "String should match pattern '^[a-zA-Z0-9_-]+$'"


def bad(message: str) -> Refusal:
    """A 400 in Anthropic's shape."""
    return Refusal(400, message, google=False)


class Blocks:
    """Walks a conversation once: refuses what the API refuses, collects the texts into `asked`."""

    def __init__(self, asked: Asked, *, signed: bool, system_role: bool, references: bool = False) -> None:
        self.asked = asked
        self._result_blocks = _RESULT_BLOCKS | {"tool_reference"} if references else _RESULT_BLOCKS
        self.signed = signed
        self.system_role = system_role
        self.cached = 0
        self._used: set[str] = set()

    def system(self, system: Any) -> None:
        """The top-level `system`: a string or a list of text blocks."""
        if system is None or isinstance(system, str):
            if system:
                self.asked.texts.append(system)
            return
        blocks = as_list(system)
        if blocks is None:
            raise bad("system: Input should be a valid string or list")
        for index, block in enumerate(blocks):
            self._block(block, f"system.{index}", frozenset({"text"}), [])

    def messages(self, messages: Any, *, prefill: bool, thinking: bool) -> None:
        """The whole conversation."""
        turns = as_list(messages)
        if turns is None:
            raise bad("messages: Input should be a valid list")
        if not turns:
            raise bad("messages: at least one message is required")
        self.asked.turns = len(turns)
        open_calls: list[str] = []
        role = ""
        for index, raw in enumerate(turns):
            turn = as_dict(raw) or {}
            role = self._role(turn, index)
            calls, results, texts = self._turn(turn, role, index, last=index == len(turns) - 1)
            self._pair(open_calls, results, index)
            open_calls = calls
            if role == "user":
                self.asked.last_user = "\n".join(texts)
            if thinking and results and index == len(turns) - 1:
                self._starts_with_thinking(as_dict(turns[index - 1]) or {}, index - 1)
        if open_calls:
            self._pair(open_calls, [], len(turns))
        if role == "assistant" and (not prefill or thinking):
            raise bad("This model does not support assistant message prefill. The conversation must end with a user message.")

    def _role(self, turn: Json, index: int) -> str:
        role = turn.get("role")
        for key in turn:
            if key not in ("role", "content"):
                raise bad(f"messages.{index}.{key}: Extra inputs are not permitted")
        if role == "system" and self.system_role and index > 0:
            return "system"
        if role == "system":
            raise bad(
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input '
                "message role."
            )
        if role not in ("user", "assistant"):
            raise bad(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".')
        if index == 0 and role != "user":
            raise bad("messages: first message must use the user role")
        return str(role)

    def _turn(self, turn: Json, role: str, index: int, *, last: bool) -> tuple[list[str], list[str], list[str]]:
        """Ids of calls made, ids of results given, texts."""
        where = f"messages.{index}"
        content = turn.get("content")
        if "content" not in turn:
            raise bad(f"{where}.content: Field required")
        if isinstance(content, str):
            if not content and not (last and role == "assistant"):
                raise bad(f"{where}: all messages must have non-empty content except for the optional final assistant message")
            if content and not content.strip():
                raise bad("messages: text content blocks must contain non-whitespace text")
            self._note_text(content, role, last=last)
            return [], [], [content]
        blocks = as_list(content)
        if blocks is None:
            raise bad(f"{where}.content: Input should be a valid string or list")
        if not blocks and not (last and role == "assistant"):
            raise bad(f"{where}: all messages must have non-empty content except for the optional final assistant message")
        allowed = _ASSISTANT_BLOCKS if role == "assistant" else _USER_BLOCKS
        texts: list[str] = []
        for position, block in enumerate(blocks):
            self._block(block, f"{where}.content.{position}", allowed, texts)
        found = [as_dict(block) or {} for block in blocks]
        calls = [str(block.get("id")) for block in found if block.get("type") == "tool_use"]
        results = [str(block.get("tool_use_id")) for block in found if block.get("type") == "tool_result"]
        if texts:
            self._trailing(texts[-1] if found[-1].get("type") == "text" else "", role, last=last)
        return calls, results, texts

    def _note_text(self, text: str, role: str, *, last: bool) -> None:
        self.asked.texts.append(text)
        self._trailing(text, role, last=last)

    def _trailing(self, text: str, role: str, *, last: bool) -> None:
        if last and role == "assistant" and text != text.rstrip():
            raise bad("messages: final assistant content cannot end with trailing whitespace")

    def _block(self, raw: Any, where: str, allowed: frozenset[str], texts: list[str]) -> None:
        block = as_dict(raw) or {}
        kind = str(block.get("type"))
        if kind not in allowed:
            tags = ", ".join(f"'{tag}'" for tag in sorted(allowed))
            raise bad(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")
        for key in block if kind not in _UNCHECKED else ():
            if key not in _BLOCK_KEYS[kind]:
                raise bad(f"{where}.{kind}.{key}: Extra inputs are not permitted")
        if block.get("cache_control") is not None:
            self.cached += 1
        match kind:
            case "text":
                self._text(block, where, texts)
            case "image" | "document":
                self._source(block, f"{where}.{kind}.source", image=kind == "image")
            case "thinking" | "redacted_thinking":
                self._thinking(block, where)
            case "tool_use":
                self._tool_use(block, where)
            case "tool_result":
                self._tool_result(block, where, texts)
            case _:
                return

    def _text(self, block: Json, where: str, texts: list[str]) -> None:
        text = block.get("text")
        if not isinstance(text, str):
            raise bad(f"{where}.text.text: Field required")
        if not text and block.get("cache_control") is not None:
            raise bad(f"{where}.text: cache_control cannot be set for empty text blocks")
        if not text:
            raise bad(f"{where.partition('.')[0]}: text content blocks must be non-empty")
        if not text.strip():
            raise bad(f"{where.partition('.')[0]}: text content blocks must contain non-whitespace text")
        texts.append(text)
        self.asked.texts.append(text)

    def _source(self, block: Json, where: str, *, image: bool) -> None:
        source = as_dict(block.get("source"))
        if source is None:
            raise bad(f"{where}: Field required")
        if source.get("type") == "base64" and image:
            check_image(source.get("data"), source.get("media_type"), f"{where}.base64")
        elif source.get("type") not in ("base64", "url", "text", "content", "file"):
            raise bad(f"{where}.type: Field required")
        self.asked.images += 1

    def _thinking(self, block: Json, where: str) -> None:
        text, signature = block.get("thinking", ""), block.get("signature", block.get("data"))
        if not isinstance(signature, str):
            raise bad(f"{where}.thinking.signature: Field required")
        if not isinstance(text, str):
            raise bad(f"{where}.thinking.thinking: Input should be a valid string")
        if self.signed and not thinking_signed(text, signature):
            raise bad(f"{where}: Invalid `signature` in `thinking` block")
        if text:
            self.asked.texts.append(text)

    def _tool_use(self, block: Json, where: str) -> None:
        call_id, name = block.get("id"), block.get("name")
        if not isinstance(call_id, str) or not _ID.match(call_id):
            raise bad(f"{where}.tool_use.id: {_ID_RULE}")
        if call_id in self._used:
            raise bad("messages: `tool_use` ids must be unique")
        if not isinstance(name, str) or not name:
            raise bad(f"{where}.tool_use.name: Field required")
        arguments = as_dict(block.get("input"))
        if arguments is None:
            raise bad(f"{where}.tool_use.input: Input should be a valid dictionary")
        self._used.add(call_id)
        self.asked.tool_chars += len(name) + len(str(arguments))

    def _tool_result(self, block: Json, where: str, texts: list[str]) -> None:
        call_id = block.get("tool_use_id")
        if not isinstance(call_id, str) or not _ID.match(call_id):
            raise bad(f"{where}.tool_result.tool_use_id: {_ID_RULE}")
        content = block.get("content")
        if isinstance(content, str):
            texts.append(content)
            self.asked.texts.append(content)
            return
        for position, inner in enumerate(as_list(content) or []):
            self._block(inner, f"{where}.tool_result.content.{position}", self._result_blocks, texts)

    def _pair(self, calls: list[str], results: list[str], index: int) -> None:
        """Every call is answered in the very next message, once; nothing else is answered."""
        for result in results:
            if result not in calls:
                raise bad(
                    f"messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {result}. Each `tool_result` "
                    "block must have a corresponding `tool_use` block in the previous message."
                )
            if results.count(result) > 1:
                raise bad(
                    f"messages.{index}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {result}"
                )
        missing = [call for call in calls if call not in results]
        if missing:
            raise bad(
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )

    def _starts_with_thinking(self, turn: Json, index: int) -> None:
        first = as_dict((as_list(turn.get("content")) or [{}])[0]) or {}
        if first.get("type") not in ("thinking", "redacted_thinking"):
            raise bad(
                f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first.get('type')}`. When "
                "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of "
                "`tool_use` and `tool_result` blocks)."
            )
