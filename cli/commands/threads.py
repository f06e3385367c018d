"""`parley threads`: conversations listed, shown, searched, exported, imported and removed, and all of them backed up and restored."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.context import Context
from cli.log import configure_logging
from cli.output import Failed, WrongUse, one_line, put, put_json, say, table
from conversation.errors import InvalidContinuationId, ThreadExpired, ThreadNotFound
from conversation.summaries import covered, is_summary
from conversation.threads import FoundInSome, Thread, ThreadSummary, Turn, parse_thread_id

if TYPE_CHECKING:
    from tools.app import App


def run(context: Context, arguments: list[str]) -> int:
    """Do one thing with the stored conversations."""
    options = _parser(context).parse_args(arguments)
    env = context.environment(options)
    configure_logging(env)
    if options.action in ("backup", "restore", "reindex"):
        from cli.backups import act as on_the_whole

        return on_the_whole(env, options)
    if options.action == "import":
        from cli.importing import read_export

        options.turns = read_export(options.file or _piped())  # before there is an event loop, which would keep an interrupt from ending it
    from cli.wire import run_with_app

    action = {"ls": _ls, "search": _search, "show": _show, "export": _show, "import": _import, "rm": _rm}[options.action]

    async def act(app: App) -> int:
        try:
            return await action(app, options)
        except (ThreadNotFound, ThreadExpired) as error:
            raise Failed(f"{error.message} `parley threads ls` lists the threads there are.") from None

    return run_with_app(env, act)


def _parser(context: Context) -> argparse.ArgumentParser:
    parser = context.parser("threads", "List, show, search, export, import, remove, back up and restore conversations.")
    named = "ls|show|search|export|import|rm|backup|restore|reindex"
    actions = parser.add_subparsers(dest="action", metavar=named, required=True, parser_class=type(parser))

    def action(name: str, summary: str, *, json: bool = True) -> argparse.ArgumentParser:
        made = actions.add_parser(name, prog=f"parley threads {name}", description=summary, help=summary.rstrip("."))
        if json:
            made.add_argument("--json", action="store_true", help="as JSON")
        return made

    for lister in (action("ls", "List threads, last updated first."), action("search", "List threads that hold every word.")):
        lister.add_argument("--limit", type=_limit, default=50, help="most threads (50)")
        lister.add_argument("--here", action="store_true", help="only threads of this folder")
        if lister.prog.endswith("search"):
            lister.add_argument("words", nargs="+")
    action("show", "Show a thread's turns.").add_argument("id", type=_id)
    action("export", "Print a thread as Markdown, or with --json as JSON.").add_argument("id", type=_id)
    reader = action("import", "Make a thread of an exported one; prints its new id.")
    reader.add_argument("file", nargs="?", help="what `export --json` printed; - or nothing for stdin")
    action("rm", "Remove threads.", json=False).add_argument("ids", type=_id, nargs="+", metavar="id")
    for copier, force in (
        (action("backup", "Copy all there is into a file, while servers go on writing."), "replace a file that is there"),
        (action("restore", "Put a backup in the place of what there is, which is kept beside."), "also when newer threads are not in it"),
    ):
        copier.add_argument("file")
        copier.add_argument("--force", action="store_true", help=force)
    action("reindex", "Build the search anew, when `parley doctor` says that it is damaged.", json=False)
    return parser


def _piped() -> str:
    """Return the name of stdin when something is piped into it."""
    if sys.stdin is None or sys.stdin.isatty():
        raise WrongUse("name the file to import, or pipe it in: parley threads export ID --json | parley threads import")
    return "-"


async def _ls(app: App, options: argparse.Namespace) -> int:
    found = await app.store.list(workspace=app.workspace if options.here else None, limit=options.limit)
    return _listing(found, as_json=options.json)


async def _search(app: App, options: argparse.Namespace) -> int:
    found = await app.store.search(" ".join(options.words), workspace=app.workspace if options.here else None, limit=options.limit)
    if isinstance(found, FoundInSome):
        say(f"parley: {found.note}")
    return _listing(found, as_json=options.json)


def _listing(found: list[ThreadSummary], *, as_json: bool) -> int:
    if as_json:
        put_json({"threads": [_summary(one) for one in found]})
        return 0
    if not found:
        say("no threads")
        return 0
    put(table([one.id, one.updated[:19], f"{one.turns} turns", one_line(one.snippet or one.title, 80), one.workspace] for one in found))
    return 0


def _summary(one: ThreadSummary) -> dict[str, Any]:
    row = {"continuation_id": one.id, "title": one.title, "turns": one.turns, "updated": one.updated, "workspace": one.workspace}
    return row if one.snippet is None else {**row, "snippet": one.snippet}


async def _show(app: App, options: argparse.Namespace) -> int:
    """Print a thread; as JSON it is what can be imported, and for `show` what is listed of it as well."""
    thread = await app.store.load(options.id)
    if not options.json:
        put(markdown(thread))
        return 0
    document = exported(thread)
    if options.action == "show":
        about = {"title": thread.title, "workspace": thread.workspace, "created": thread.created, "updated": thread.updated}
        document = {"continuation_id": thread.id, **about, **document}
    put_json(document)
    return 0


async def _import(app: App, options: argparse.Namespace) -> int:
    from cli.importing import import_thread

    new_id = await import_thread(app.store, options.turns, workspace=app.workspace)
    if options.json:
        put_json({"continuation_id": new_id})
    else:
        put(new_id)
    return 0


async def _rm(app: App, options: argparse.Namespace) -> int:
    """Remove what is there of the threads. Raises Failed at the end, naming those that are not."""
    missing: list[str] = []
    for thread_id in dict.fromkeys(options.ids):
        try:
            await app.store.delete(thread_id)
        except (ThreadNotFound, ThreadExpired):
            missing.append(thread_id)
        else:
            say(f"removed {thread_id}")
    if missing:
        raise Failed(f"There is no thread {', '.join(missing)}. `parley threads ls` lists the threads there are.")
    return 0


def exported(thread: Thread) -> dict[str, Any]:
    """Return the thread as `export --json` prints it."""
    return {"continuation_id": thread.id, "turns": [_turn(turn) for turn in thread.turns]}


def _turn(turn: Turn) -> dict[str, Any]:
    fields = ("seq", "role", "tool", "provider", "model", "content", "state", "at")
    row = {**{name: getattr(turn, name) for name in fields}, "usage": turn.usage.model_dump() if turn.usage else None}
    if turn.attachments:
        row["attachments"] = [one.model_dump(exclude={"digest"}) for one in turn.attachments]
    return row if turn.meta is None else {**row, "meta": turn.meta}


def markdown(thread: Thread) -> str:
    """Return the thread as Markdown, one heading a turn."""
    parts = [f"# {thread.title}", f"{thread.id}, {Path(thread.workspace).name}, begun {thread.created[:19]}"]
    for turn in thread.turns:
        state = "" if turn.state == "done" else f" ({turn.state})"
        about = ", ".join([_speaker(turn), turn.tool, *_noted(turn), turn.at[:19]])
        parts += [f"## {turn.seq}. {about}{state}", turn.content.rstrip()]
        parts += [f"[{attached.kind}: {attached.path}]" for attached in turn.attachments]
    return "\n\n".join(parts)


def _speaker(turn: Turn) -> str:
    if turn.role == "user":
        return "you"
    return "/".join(name for name in (turn.provider, turn.model) if name) or "parley"


def _noted(turn: Turn) -> Iterator[str]:
    """Yield what a turn is beside words: a summary, a place in a panel, a panel's outcome."""
    meta = turn.meta or {}
    if is_summary(turn):
        yield f"summary of turns 1 to {covered(turn)}"
    if meta.get("outcome"):
        yield "outcome"
    for name, said in (("seat", "seat"), ("stance", "asked to argue:")):
        if meta.get(name):
            yield f"{said} {one_line(str(meta[name]), 60)}"


def _id(text: str) -> str:
    try:
        return parse_thread_id(text)
    except InvalidContinuationId:
        raise WrongUse(f"{text[:60]!r} is not a continuation_id; `parley threads ls` lists them") from None


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 1 to 100000")
    return int(text)
