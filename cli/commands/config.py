"""`parley config`: what to give to Claude Code, and env files to fill in."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, cast

from cli.context import Context
from cli.environment import VARIABLES, template
from cli.output import Failed, WrongUse, put, put_json, say

REFERENCES = {
    "GOOGLE_CLOUD_PROJECT": "${GOOGLE_CLOUD_PROJECT:-}",
    "VERTEX_AI_LOCATION": "${VERTEX_AI_LOCATION:-us-east5}",
    "GOOGLE_APPLICATION_CREDENTIALS": "${GOOGLE_APPLICATION_CREDENTIALS:-}",
    "GITHUB_TOKEN": "${GITHUB_TOKEN:-}",
    "OPENROUTER_API_KEY": "${OPENROUTER_API_KEY:-}",
}
"""References that Claude Code resolves from its own environment, so that no secret stands in a file; unset ones become empty."""


def run(context: Context, arguments: list[str]) -> int:
    """Print a configuration, or write it to a file."""
    parser = context.parser("config", "Print what Claude Code needs to start Parley, or env files to fill in.")
    kinds = parser.add_subparsers(dest="kind", metavar="claude|env", required=True, parser_class=type(parser))
    said = "The `claude mcp add` line and the JSON of an MCP file"
    claude = kinds.add_parser("claude", prog="parley config claude", description=f"{said}.", help=said)
    claude.add_argument("--write", metavar="PATH", help="put the server into this JSON file, leaving its other servers alone")
    claude.add_argument("--json", action="store_true", help="the JSON alone")
    said = "Every variable, as an env file to fill in; what is commented out shows the default"
    files = kinds.add_parser("env", prog="parley config env", description=f"{said}.", help=said)
    files.add_argument("--json", action="store_true", help="the variables there are, as JSON")
    options = parser.parse_args(arguments)
    if options.kind == "env":
        if options.json:
            put_json({"variables": [variable.document() for variable in VARIABLES]})
        else:
            put(template())
        return 0
    script = console_script()
    document = claude_document(script)
    if options.write:
        _write(Path(options.write), document)
        say(f"wrote {options.write}")
    if options.json:
        put_json(document)
        return 0
    add = f"-- {_on_path(script) or shlex.quote(script)} serve"
    put(f"claude mcp add parley {add}\n\n")
    put_json(document)
    say(f"Pass secrets as references, such as: claude mcp add parley -e OPENROUTER_API_KEY='{REFERENCES['OPENROUTER_API_KEY']}' {add}")
    say("With -s user after `add` Parley is there in every project, else in this folder alone.")
    return 0


def claude_document(command: str) -> dict[str, Any]:
    """Return the contents of an MCP file that starts `command`."""
    return {"mcpServers": {"parley": {"type": "stdio", "command": command, "args": ["serve"], "env": dict(REFERENCES)}}}


def console_script() -> str:
    """Return the absolute path of the command `parley`: the one beside this Python, else the one that was called, else on PATH."""
    called = Path(sys.argv[0])
    candidates = [Path(sysconfig.get_path("scripts")) / "parley", *([called.absolute()] if called.name == "parley" else [])]
    found = next((str(path) for path in candidates if os.access(path, os.X_OK)), shutil.which("parley"))
    if found is None:
        raise Failed("the command parley is not installed; install it with `pipx install .` or `uv tool install .`")
    return os.path.abspath(found)


def _on_path(script: str) -> str | None:
    """Return the bare name of the command when PATH leads to this very script."""
    found = shutil.which("parley")
    return "parley" if found is not None and os.path.samefile(found, script) else None


def _write(path: Path, document: dict[str, Any]) -> None:
    """Put our server into the file in one step. Other servers and keys in it stay as they are."""
    merged = _existing(path)
    servers = merged.get("mcpServers", {})
    if not isinstance(servers, dict):
        raise WrongUse(f"{path}: mcpServers is not an object; nothing was written")
    merged["mcpServers"] = {**servers, **document["mcpServers"]}
    try:
        target = path.resolve()  # a link stays a link
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".parley-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(merged, indent=2, ensure_ascii=False) + "\n")
        os.chmod(name, target.stat().st_mode & 0o777 if target.exists() else 0o600)
        os.replace(name, target)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror or type(error).__name__}") from None


def _existing(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"cannot read {path}: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    try:
        document: Any = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        raise WrongUse(f"{path} is not JSON; nothing was written") from None
    if not isinstance(document, dict):
        raise WrongUse(f"{path} is not a JSON object; nothing was written")
    return cast("dict[str, Any]", document)
