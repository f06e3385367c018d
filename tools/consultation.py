"""The message that a role's prompt is: it has the client's model consult another one."""

from __future__ import annotations

from collections.abc import Mapping

from conversation.errors import InvalidInput
from conversation.json_text import whole
from tools.roles import Role

_MESSAGE = """\
Consult another model through Parley: call its tool chat with role="{role}". Leave model out unless one was asked for.

That model sees nothing of this conversation or the workspace but what the call holds:
- files: the paths of all files it needs to judge for itself: the code in question, what calls it, its tests and configuration. \
They are sent whole, with line numbers, so name them instead of pasting them.
- prompt: the request in full, and what was said here that bears on it.{send}

Check what it answers against the code before you rely on it. If it asks for more, go on with the continuation_id. Then tell the \
user what it said, where you disagree and why, and what you will do.

{request}"""
_ONLY_A_WORD = (
    "This client may have passed on the first word only: where <command-args> stands in this message, its content is the whole request."
)


def consultation(role: Role, arguments: Mapping[str, str]) -> str:
    """Return the text. Raises InvalidInput when a required argument is missing."""
    given = {one.name: text for one in role.arguments if (text := whole(arguments.get(one.name, "")).strip())}
    missing = [one.name for one in role.arguments if one.required and one.name not in given]
    if missing:
        raise InvalidInput(f"The prompt {role.name} needs {' and '.join(missing)}.", hint="Say it after the name of the command.")
    send = f" Add {role.send}." if role.send else ""
    return _MESSAGE.format(role=role.name, send=send, request=_request(given))


def _request(given: Mapping[str, str]) -> str:
    """Return what the user asks, in the words of the arguments.

    Claude Code (2.1.197) splits what was typed at white space, quotes or not, hands each argument one word and drops the rest. It
    puts the whole, as typed, before this text, between <command-args> and </command-args>.
    """
    if not given:
        return "The request is what <command-args> holds, in this message; where there is none, it is what we are working on."
    if set(given) == {"request"}:
        said = f"The request: {given['request']}"
    else:
        said = "The request:\n" + "\n".join(f"- {name}: {text}" for name, text in given.items())
    whole = any(len(text.split()) > 1 for text in given.values())
    return said if whole else f"{said}\n{_ONLY_A_WORD}"
