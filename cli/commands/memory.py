"""`parley memory`: what is remembered, told, searched, looked after, and made anew."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cli.context import Context
from cli.log import configure_logging
from cli.output import Failed, WrongUse, one_line, put, put_json, say, table
from cli.reading import read_source
from conversation.errors import InvalidContinuationId, InvalidInput, ThreadExpired, ThreadNotFound
from conversation.threads import parse_thread_id

_MOST_BYTES = 1_000_000
"""Piped in; an episode holds less."""

if TYPE_CHECKING:
    from graph.episodes import Episode, FoundEpisode, FoundFact
    from graph.memory import Memory
    from tools.app import App


def run(context: Context, arguments: list[str]) -> int:
    """Do one thing with the memory."""
    options = _parser(context).parse_args(arguments)
    env = context.environment(options)
    configure_logging(env)
    if options.action == "add" and options.thread is None:
        options.body = " ".join(options.words) or _piped()
    if options.action == "import":
        from cli.episodes import read_export

        options.episodes = read_export(options.file)
    from cli.memory import drain
    from cli.wire import run_with_app

    async def act(app: App) -> int:
        try:
            if options.action == "drain":
                await drain(app, env, idle_s=options.idle, unless_running=options.unless_running)
                say(app.scrub((await app.memory().status()).message))
                return 0
            return await _ACTIONS[options.action](app, app.memory(), options)
        except InvalidInput as error:
            raise WrongUse(f"parley memory {options.action}: {error.message} {error.hint}".rstrip()) from None
        except (ThreadNotFound, ThreadExpired) as error:
            raise Failed(f"{error.message} `parley threads ls` lists the threads there are.") from None

    return run_with_app(env, act)


def _parser(context: Context) -> argparse.ArgumentParser:
    parser = context.parser("memory", "Remember things, search what is remembered, and look after it.")
    named = "add|search|status|retry|export|import|rebuild|drain"
    actions = parser.add_subparsers(dest="action", metavar=named, required=True, parser_class=type(parser))

    def action(name: str, summary: str, *, json: bool = True) -> argparse.ArgumentParser:
        made = actions.add_parser(name, prog=f"parley memory {name}", description=summary, help=summary.rstrip("."))
        if json:
            made.add_argument("--json", action="store_true", help="as JSON")
        return made

    adder = action("add", "Remember something: the words given, what is piped in, or a thread.")
    adder.add_argument("words", nargs="*", metavar="TEXT", help="what to remember; without it, stdin")
    adder.add_argument("--name", help="a short title (its first words)")
    adder.add_argument("--thread", type=_thread, metavar="ID", help="remember this thread's turns instead")
    adder.add_argument("--source", choices=("text", "json", "message"), default="text", help="text, or lines of 'who: what'")
    adder.add_argument("--source-description", default="", metavar="TEXT", help="where it is from")
    adder.add_argument("--uuid", help="your own id: told again with it, it is kept once")
    adder.add_argument("--at", default="", metavar="TIME", help="when it was so, ISO 8601 (now)")
    searcher = action("search", "Search what is remembered.")
    searcher.add_argument("words", nargs="+", metavar="WORD")
    searcher.add_argument("--limit", type=int, default=10, help="most facts, and most episodes (10)")
    searcher.add_argument("--superseded", action="store_true", help="also what is no longer true")
    action("status", "Tell how the memory does.")
    action("retry", "Have what could not be read read again.").add_argument("uuid", nargs="?", help="only this episode")
    exporter = action("export", "Print all episodes as JSON, the oldest first; `import` takes them.", json=False)
    exporter.add_argument("--json", action="store_true", help="as JSON, which it is in any case")
    exporter.add_argument("--all", action="store_true", help="of all groups, not of this folder's alone")
    importer = action("import", "Remember what an export holds; what is there already stays as it is.")
    importer.add_argument("file", nargs="?", default="-", help="what `export` printed; - or nothing for stdin")
    action("rebuild", "Have the graph made anew from all episodes, each read by a model again. Until then the old one is searched.")
    drainer = action("drain", "Read what is queued, now and here, until nothing is left. Parley starts this itself.", json=False)
    drainer.add_argument("--idle", type=float, metavar="SECONDS", help="end after so many seconds without anything to do (60)")
    drainer.add_argument("--unless-running", action="store_true", help="end at once when another process reads what is queued")
    for one in (adder, searcher, exporter):
        one.add_argument("--group", metavar="NAME", help="the group (this folder's)")
    return parser


async def _add(app: App, memory: Memory, options: argparse.Namespace) -> int:
    from graph.conversations import episodes_of
    from graph.episodes import NewEpisode
    from graph.memory import new_uuid

    if options.thread is not None:
        found = episodes_of(await app.store.load(options.thread))
        if not found:
            raise Failed("The thread has no turns to remember.")
        new = [one.model_copy(update={"group_id": options.group or one.group_id}) for one in found]
    else:
        name = options.name or one_line(options.body, 80)
        given = {"source": options.source, "source_description": options.source_description, "at": options.at}
        new = [NewEpisode(name=name, body=options.body, group_id=options.group or "", uuid=options.uuid or new_uuid(), **given)]
    kept = [await memory.add(one) for one in new]
    if options.json:
        rows = [{"uuid": one.uuid, "state": one.state, "group_id": one.group_id} for one in kept]
        put_json(rows[0] if options.thread is None else {"episodes": rows})
    else:
        put("\n".join(one.uuid for one in kept))
    await memory.see_to_it()
    return 0


async def _search(app: App, memory: Memory, options: argparse.Namespace) -> int:
    from graph.episodes import Wanted
    from tools.memories import fact_shown, passage_shown

    if not 1 <= options.limit <= 1000:
        raise WrongUse("parley memory search: --limit must be from 1 to 1000")
    groups = (options.group,) if options.group else ()
    found = await memory.search(
        Wanted(query=" ".join(options.words), group_ids=groups, limit=options.limit, include_superseded=options.superseded)
    )
    for told in (found.notice, found.by_words if memory.meaning is not None else ""):
        if told:
            say(app.scrub(told))
    if options.json:
        facts, episodes = map(fact_shown, found.facts), map(passage_shown, found.episodes)
        put_json({"facts": [one.model_dump(mode="json") for one in facts], "episodes": [one.model_dump(mode="json") for one in episodes]})
    elif not found.facts and not found.episodes:
        say("nothing found")
    else:
        put("\n".join([*map(_fact, found.facts), *map(_passage, found.episodes)]))
    return 0


def _fact(found: FoundFact) -> str:
    fact = found.fact
    until = f", until {fact.invalid_at[:10]}" if fact.invalid_at else ""
    since = f"since {fact.valid_at[:10]}{until}" if fact.valid_at else until.lstrip(", ")
    told = "; ".join(f"{one.name}, {one.created_at[:10]}" for one in found.told)
    marks = ["no longer true"] if found.superseded else []
    return f"{one_line(fact.fact, 300)}  [{'; '.join(part for part in (*marks, since, f'from {told}') if part)}]"


def _passage(found: FoundEpisode) -> str:
    episode = found.episode
    return f"{one_line(episode.body, 300)}  [{one_line(episode.name, 80)}, {episode.created_at[:10]}, {episode.state}]"


async def _status(app: App, memory: Memory, options: argparse.Namespace) -> int:
    status = await memory.status()
    if options.json:
        put_json(status.model_dump(mode="json"))
        return 0
    queue = status.queue
    rows = [
        ["episodes", f"{queue.done} read, {queue.queued} queued, {queue.running} being read, {queue.failed} failed"],
        ["backend", status.backend],
        ["embedding", status.embedding],
        ["drainer", "none" if status.owner is None else f"process {status.owner}"],
        ["", status.message],
    ]
    failed = [one for one in await memory.inbox.episodes(None, 1000) if one.state == "failed"]
    put(table([*rows, *([one.uuid, one_line(f"{one.name}: {one.error}", 200)] for one in failed)]))
    return 0


async def _retry(app: App, memory: Memory, options: argparse.Namespace) -> int:
    count = await memory.retry(options.uuid)
    return await _counted(memory, options, "queued", count, "are queued again")


async def _export(app: App, memory: Memory, options: argparse.Namespace) -> int:
    groups = None if options.all else (options.group or memory.group,)
    found = await memory.inbox.episodes(groups, sys.maxsize)
    put_json({"episodes": [_row(one) for one in reversed(found)]})
    return 0


def _row(episode: Episode) -> dict[str, Any]:
    row = episode.model_dump(mode="json")
    return {"uuid": row.pop("uuid"), "name": row.pop("name"), "episode_body": row.pop("body"), **row}


async def _import(app: App, memory: Memory, options: argparse.Namespace) -> int:
    known = {one.uuid for one in await memory.inbox.episodes(None, sys.maxsize)}
    for one in options.episodes:
        await memory.add(one)
    count = len({one.uuid for one in options.episodes} - known)
    return await _counted(memory, options, "added", count, "added")


async def _rebuild(app: App, memory: Memory, options: argparse.Namespace) -> int:
    count = await memory.rebuild()
    meanwhile = "until all are, what was found before is searched" if memory.config.server is None else "what others told stays"
    return await _counted(memory, options, "queued", count, f"will be read again; {meanwhile} (parley memory status)")


async def _counted(memory: Memory, options: argparse.Namespace, name: str, count: int, done: str) -> int:
    """Tell how many episodes something was done with, and have them read."""
    if options.json:
        put_json({name: count})
    else:
        say(f"{count} episodes {done}")
    await memory.see_to_it()
    return 0


_ACTIONS = {
    "add": _add, "search": _search, "status": _status, "retry": _retry, "export": _export, "import": _import, "rebuild": _rebuild,
}  # fmt: skip


def _piped() -> str:
    """Return the text that is piped in. Raises WrongUse when none is."""
    text = "" if sys.stdin is None or sys.stdin.isatty() else read_source("-", _MOST_BYTES).decode("utf-8", "replace")
    if not text.strip():
        raise WrongUse("parley memory add: name what to remember, or pipe it in")
    return text


def _thread(text: str) -> str:
    try:
        return parse_thread_id(text)
    except InvalidContinuationId:
        raise WrongUse(f"{text[:60]!r} is not a continuation_id; `parley threads ls` lists them") from None
