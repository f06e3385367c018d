"""The whole thread database as one file: backed up, restored, its search built anew."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from cli.output import WrongUse, put, put_json, say
from conversation.errors import InvalidInput
from memory.backup import back_up, restore
from memory.checkup import Checkup, reindex
from memory.config import MemoryConfig


def act(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Do what the options say. Raises WrongUse, and ParleyError when it cannot be done."""
    try:
        memory = MemoryConfig.from_env(env)
        if memory.redis_url is not None:
            raise WrongUse(f"REDIS_URL is set, so that threads are in Redis: {options.action} is for those in PARLEY_HOME")
        database = memory.database
        return {"backup": _backup, "restore": _restore, "reindex": _reindex}[options.action](database, options)
    except InvalidInput as error:
        raise WrongUse(f"{error.message} {error.hint}") from None


def _backup(database: Path, options: argparse.Namespace) -> int:
    file = _whole(options.file)
    found = back_up(database, file, replace=options.force)
    if options.json:
        put_json({"file": str(file), **_holds(found)})
    else:
        put(f"{file}: {told(found)}")
    return 0


def _restore(database: Path, options: argparse.Namespace) -> int:
    file = _whole(options.file)
    done = restore(database, file, lose=options.force)
    if options.json:
        put_json({"file": str(file), **_holds(done.found), "replaced": None if done.replaced is None else str(done.replaced)})
        return 0
    put(f"{database}: {told(done.found)}")
    if done.replaced is not None:
        say(f"what was there before is {done.replaced}")
    return 0


def _reindex(database: Path, options: argparse.Namespace) -> int:
    reindex(database)
    say("the search was built anew")
    return 0


def _whole(file: str) -> Path:
    return Path(file).absolute()


def _holds(found: Checkup) -> dict[str, int]:
    return {"threads": found.threads, "turns": found.turns, "bytes": found.bytes}


def told(found: Checkup) -> str:
    """Return what a database holds, in words."""
    return f"{found.threads} threads, {found.turns} turns, {found.bytes / 1_000_000:.1f} MB"
