"""What machines tell each other through Redis about providers and spending; each keeps its own in its state folder, as without Redis.

Every state folder publishes what it knows under its own name, as a whole, so that nothing has to be merged there and what was missed
is made good by the next time. A provider counts as failing when any folder says so, and a day's spending is the sum of all. Nothing
here is waited for by a request: others' news are fetched beside it, and may be a second old.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from conversation.errors import StoreError
from conversation.spending import Account, Rows, Spent
from memory._home import private_folder
from memory._redis_client import RedisLink
from memory._redis_scripts import PREFIX
from memory.health import Hold, Keeper, State
from memory.ledger import SpendLedger

log = logging.getLogger(__name__)
_T = TypeVar("_T")

FRESH_SECONDS = 1.0
_HEALTH = f"{PREFIX}:health"
_HOMES = f"{PREFIX}:homes"
_STALE_SECONDS = 900.0
"""What a folder said so long ago about providers tells nothing any more; breakers and parking are shorter than that, or said again."""
_KEPT_SECONDS = 400 * 86_400
_STATE = TypeAdapter(State)
_GATHER_SECONDS = 0.1


def folder_name(home: Path) -> str:
    """Return the name of a state folder, which it keeps; one that cannot be written has another for each process."""
    path, fresh = home / "name", uuid.uuid4().hex
    with suppress(OSError):
        private_folder(home)
        with suppress(FileExistsError), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(fresh)
        return path.read_text(encoding="ascii").strip() or fresh
    return fresh


@dataclass(slots=True)
class Shared:
    """What other folders have told, and the telling of our own. `name` is this folder's."""

    link: RedisLink
    name: Callable[[], str]
    clock: Callable[[], float] = time.time
    states: dict[str, State] = field(default_factory=dict[str, State])
    """Of other folders, about providers."""
    spent: dict[str, float] = field(default_factory=dict[str, float])
    """By day, what other folders have spent, in USD."""
    _asked_at: float = field(default=float("-inf"), init=False)
    _asking: asyncio.Task[None] | None = field(default=None, init=False)
    _telling: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict[str, Callable[[], Awaitable[None]]], init=False)
    _teller: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def is_looking(self) -> bool:
        """Whether others' news are being fetched."""
        return self._asking is not None and not self._asking.done()

    @property
    def is_telling(self) -> bool:
        """Whether there is something that others do not know yet."""
        return self._teller is not None and not self._teller.done()

    def look(self) -> None:
        """Have others' news fetched, unless that was done a moment ago."""
        if self.clock() - self._asked_at < FRESH_SECONDS or self.is_looking:
            return
        with suppress(RuntimeError):  # no event loop: a command that only looks at what is here
            self._asking = asyncio.get_running_loop().create_task(self._ask(), name="others' news")

    async def _ask(self) -> None:
        self._asked_at = self.clock()
        day = time.strftime("%Y-%m-%d", time.gmtime(self._asked_at))
        with suppress(StoreError):
            told, mine = await self.link.call("HGETALL", _HEALTH), self.name()
            ahead = self._ahead(await self.link.call("TIME"))
            found = {home: self._state(text, ahead) for home, text in told.items() if home != mine}
            self.states = {home: state for home, state in found.items() if state is not None}
            rows = await self.accounts_of(await self.others(), day)
            self.spent = {day: sum(spent.usd for _, spent in rows)}

    def _ahead(self, time_there: Sequence[str | int]) -> float:
        """Return how many seconds our clock is ahead of that of Redis, by which machines whose clocks differ understand each other."""
        seconds, microseconds = (int(part) for part in time_there)
        return self.clock() - seconds - microseconds / 1_000_000

    async def tell_health(self, state: State) -> None:
        """Tell what this folder knows of providers. Raises StoreError."""
        ahead = self._ahead(await self.link.call("TIME"))
        told = {"at": self.clock(), "ahead": ahead, "state": _STATE.dump_python(state, mode="json")}
        await self.link.call("HSET", _HEALTH, self.name(), json.dumps(told))

    def _state(self, text: str, ahead: float) -> State | None:
        try:
            told = json.loads(text)
            later = ahead - float(told["ahead"])
            is_fresh = self.clock() - float(told["at"]) - later < _STALE_SECONDS
            return _later(_STATE.validate_python(told["state"]), later) if is_fresh else None
        except (ValueError, KeyError, TypeError, ValidationError):
            return None

    async def accounts_of(self, homes: list[str], day: str) -> list[tuple[Account, Spent]]:
        """Return the accounts of folders on a day. Raises StoreError."""
        if not homes:
            return []
        found: list[tuple[Account, Spent]] = []
        for fields in await self.link.pipe([("HGETALL", _spending(day, home)) for home in homes]):
            for name, text in cast("dict[str, str]", fields).items():
                with suppress(ValueError, TypeError):  # what another version wrote, and this one cannot read
                    found.append((Account(day, *json.loads(name)), Spent(*json.loads(text))))
        return found

    async def others(self) -> list[str]:
        """Return the names of other folders. Raises StoreError."""
        mine = self.name()
        return [home for home in await self.link.call("SMEMBERS", _HOMES) if home != mine]

    def tell(self, what: str, send: Callable[[], Awaitable[None]]) -> None:
        """Have `send` tell something in a moment, and again until it could; of two that tell the same, the later one."""
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            self._telling[what] = send
            if not self.is_telling:
                self._teller = loop.create_task(self._tell(), name="our news")

    async def _tell(self) -> None:
        pause = _GATHER_SECONDS
        while self._telling:
            await asyncio.sleep(pause)
            telling, self._telling = self._telling, {}
            pause = _GATHER_SECONDS
            for what, send in telling.items():
                try:
                    await send()
                except StoreError as error:
                    log.info("%s cannot be told to other machines yet: %s", what, error.message)
                    self._telling.setdefault(what, send)
                    pause = FRESH_SECONDS

    async def aclose(self) -> None:
        """Tell what is still to be told, in a moment at most, and close the client."""
        if self._teller is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._teller), 5 * _GATHER_SECONDS)
        for task in (self._asking, self._teller):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.link.aclose()


class SharedHealth:
    """A Keeper of what this folder knows, in `own`, and what others have told."""

    def __init__(self, own: Keeper, shared: Shared) -> None:
        self._own, self._shared = own, shared

    def read(self) -> State:
        """Return all there is to know."""
        self._shared.look()
        own = self._own.read()
        return own if not self._shared.states else merged(own, list(self._shared.states.values()))

    def change(self, work: Callable[[State], _T]) -> _T:
        """Change what this folder knows, and have the others told."""
        result = self._own.change(work)

        async def send() -> None:
            await self._shared.tell_health(self._own.read())

        self._shared.tell("the health of providers", send)
        return result


def _later(state: State, seconds: float) -> State:
    """Return the state with all its times so many seconds later."""

    def held(holds: Mapping[str, Hold]) -> dict[str, Hold]:
        return {name: replace(hold, until=hold.until + seconds) for name, hold in holds.items()}

    breakers = {
        name: breaker if breaker.open_until is None else replace(breaker, open_until=breaker.open_until + seconds)
        for name, breaker in state.breakers.items()
    }
    return State(breakers, held(state.parked), held(state.aside))


def merged(own: State, others: list[State]) -> State:
    """Return the state in which every provider is as bad as anyone says; only our own failures are counted."""
    made = State(dict(own.breakers), dict(own.parked), dict(own.aside))
    for other in others:
        for name, breaker in other.breakers.items():
            known = made.breakers.get(name)
            if breaker.open_until is not None and (known is None or (known.open_until or 0.0) < breaker.open_until):
                made.breakers[name] = breaker
        for ours, theirs in ((made.parked, other.parked), (made.aside, other.aside)):
            for name, hold in theirs.items():
                if name not in ours or ours[name].until < hold.until:
                    ours[name] = hold
    return made


class SharedLedger:
    """A Ledger of what this folder spent, in `own`, and what others have told."""

    def __init__(self, own: SpendLedger, shared: Shared) -> None:
        self._own, self._shared = own, shared
        self._changed: dict[str, set[Account]] = {}
        """By day, the accounts that others do not know of yet; those of a day that is not here have all to be told."""

    async def spent(self, day: str) -> float:
        """Return the sum of a day over all machines, as far as it is known."""
        self._shared.look()
        return await self._own.spent(day) + self._shared.spent.get(day, 0.0)

    async def add(self, rows: Mapping[Account, Spent]) -> None:
        """Add to this folder's accounts, and have the others told."""
        await self._own.add(rows)
        for account in rows:
            if account.day in self._changed:
                self._changed[account.day].add(account)
            self._shared.tell(f"the spending of {account.day}", partial(self._send, account.day))

    async def _send(self, day: str) -> None:
        """Tell the sums of the accounts of a day that changed, or of all; sums, so that telling them twice does no harm."""
        home, key = self._shared.name(), _spending(day, self._shared.name())
        changed = self._changed.pop(day, None)
        rows = [row for row in await self._own.accounts(day, day) if changed is None or row[0] in changed]
        pairs = [part for account, spent in rows for part in (json.dumps(account[1:]), json.dumps(list(spent)))]
        if pairs:
            await self._shared.link.pipe([("SADD", _HOMES, home), ("HSET", key, *pairs), ("EXPIRE", key, _KEPT_SECONDS)])
        self._changed.setdefault(day, set())

    async def accounts(self, since: str, until: str) -> Rows:
        """Return the accounts of all machines; of this one alone while Redis is away."""
        own = list(await self._own.accounts(since, until))
        with suppress(StoreError):
            homes = await self._shared.others()
            found = dict(own)
            for day in _days(since, until) if homes else ():
                for account, spent in await self._shared.accounts_of(homes, day):
                    found[account] = found.get(account, Spent()).plus(spent)
            return sorted(found.items(), key=lambda row: row[0].day)
        return own

    async def aclose(self) -> None:
        """Close this folder's ledger, once what is to be told is told."""
        await self._shared.aclose()
        await self._own.aclose()


def _spending(day: str, home: str) -> str:
    return f"{PREFIX}:spending:{day}:{home}"


def _days(since: str, until: str) -> list[str]:
    first, last = date.fromisoformat(since), date.fromisoformat(until)
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
