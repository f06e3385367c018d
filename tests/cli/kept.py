"""Threads in a store on disk, for commands that read it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from conversation.messages import Usage
from conversation.threads import Attachment, NewTurn, Thread
from memory.config import MemoryConfig
from memory.sqlite import SqliteThreadStore


def attachment(path: str, media_type: str, data: bytes) -> Attachment:
    """A file as a turn carries it."""
    digest = hashlib.sha256(data).hexdigest()
    if media_type == "text/plain":
        return Attachment(path=path, kind="text", media_type=media_type, content=data.decode(), digest=digest)
    return Attachment(path=path, kind="image", media_type=media_type, content=base64.b64encode(data).decode(), digest=digest)


HELLO = attachment("a.py", "text/plain", b"print()")
SHOT = attachment("shot.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(24))


def loaded(home: Path, thread_id: str) -> Thread:
    """The thread as the store has it."""
    kept: list[Thread] = []

    async def load(store: SqliteThreadStore) -> str:
        kept.append(await store.load(thread_id))
        return thread_id

    stored(home, load)
    return kept[0]


def stored(home: Path, use: Callable[[SqliteThreadStore], Awaitable[str]]) -> str:
    """What `use` returns of the store in `home`, which is closed again."""

    async def used() -> str:
        store = SqliteThreadStore(MemoryConfig(home=home).database, ttl_days=None)
        try:
            return await use(store)
        finally:
            await store.aclose()

    return asyncio.run(used())


def conversation(home: Path, question: str = "Which queue?", *, workspace: str = "/projects/space") -> str:
    """The id of a thread of two exchanges, of which the second was interrupted."""

    async def record(store: SqliteThreadStore) -> str:
        started = await store.begin(NewTurn(role="user", content=question, attachments=(HELLO,)), workspace=workspace)
        usage = Usage(input_tokens=3, output_tokens=5, cost_usd=0.25)
        answer = NewTurn(role="assistant", content="Postgres \u00e9", provider="vertex_claude", model="claude-x", usage=usage)
        await store.complete(started.exchange_id, [answer])
        again = await store.begin(
            NewTurn(role="user", content="And now?", tool="fallback"), workspace=workspace, thread_id=started.thread.id
        )
        await store.interrupt(again.exchange_id)
        return started.thread.id

    return stored(home, record)


def panel(home: Path) -> str:
    """The id of a thread that holds what turns can hold: files, sides of a panel, its outcome, a summary, what later versions note."""
    usage = Usage(input_tokens=3, output_tokens=5, cached_tokens=1, cost_usd=0.25)
    noted = {"review": {"verdicts": [["a.py", 3, None, True, 0.5, "\u00e9"]], "none": {}}}
    side = {"seat": "A", "stance": "for"}
    answers = [
        NewTurn(role="assistant", content="Yes", tool="consensus", provider="p", model="m", usage=usage, meta=side),
        NewTurn(role="assistant", content="No", tool="consensus", provider="p", model="n", meta={"seat": "B"}),
        NewTurn(role="assistant", content="Maybe", tool="consensus", meta={"outcome": True}),
        NewTurn(role="assistant", content="Drawn", tool="codereview", provider="p", model="m", attachments=(SHOT, HELLO), meta=noted),
    ]
    summary = NewTurn(role="assistant", content="notes", tool="condense", meta={"upto": 5, "tokens": 64, "facts": [[2, "p/m", "Yes"]]})

    async def record(store: SqliteThreadStore) -> str:
        asked = NewTurn(role="user", content="Shall we?", tool="consensus", attachments=(HELLO, SHOT), meta={})
        started = await store.begin(asked, workspace="/w")
        await store.complete(started.exchange_id, answers)
        await store.append(started.thread.id, summary, uid="u")
        return started.thread.id

    return stored(home, record)
