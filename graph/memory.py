"""What is remembered, as tools and commands use it: told to the inbox, found in what is known."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from conversation.errors import InvalidInput
from conversation.messages import Frozen
from graph import _made
from graph.config import LEXICAL, GraphConfig
from graph.embedding import NO_MODEL, Meaning
from graph.episodes import Entity, Episode, Findings, FoundFact, NewEpisode, Queue, Wanted, checked_groups
from graph.inbox import Inbox
from graph.knowledge import Knowledge
from graph.ownership import Watch, owner

PROBLEM = "problem"
"""The setting that says why the drainer cannot work; empty when it can."""

_BUILDING = "The graph is being made anew; what was known before is searched until then."
_TELLING_AGAIN = "What this machine told the graph database is being told anew; until then less of it is found."


class Status(Frozen):
    """How the memory does. `owner` is the number of the process that drains, None when none is needed.

    `problem` says why nothing can be read, if nothing can; `message` has all there is to say.
    """

    queue: Queue
    backend: str
    embedding: str
    owner: int | None
    message: str
    problem: str = ""


class Memory:
    """The memory of a PARLEY_HOME, for one workspace, whose group is `group`. Every method raises StoreError and InvalidInput.

    `unread` says why no model can read what is told, nothing when one can; `meaning` is the embedding model, where one is set.
    """

    def __init__(
        self,
        config: GraphConfig,
        inbox: Inbox,
        knowledge: Knowledge,
        *,
        group: str,
        watch: Watch | None = None,
        unread: Callable[[], str] = lambda: "",
        meaning: Meaning | None = None,
    ) -> None:
        self.config, self.inbox, self._knowledge = config, inbox, knowledge
        self.meaning = meaning
        self.group, self._watch, self._unread = group, watch, unread

    async def add(self, new: NewEpisode) -> Episode:
        """Keep an episode and return it; it is on the disk then. Its group is the workspace's where it names none."""
        kept = await self.inbox.add(new if new.group_id else new.model_copy(update={"group_id": self.group}))
        self.watch()
        return kept

    async def search(self, wanted: Wanted) -> Findings:
        """Return the facts that answer best, and the episodes that say more."""
        return await self._knowledge.search(self._checked(wanted))

    async def nodes(self, wanted: Wanted) -> Sequence[Entity]:
        """Return the entities that fit best."""
        return await self._knowledge.nodes(self._checked(wanted))

    @property
    def nodes_by_words(self) -> str:
        """Why entities are searched by words alone, in a sentence."""
        return NO_MODEL if self.meaning is None else "Entities are searched by words; search_memory_facts goes by meaning as well."

    async def fact(self, fact: str) -> FoundFact:
        """Return a fact. Raises InvalidInput when there is none with this uuid."""
        found = await self._knowledge.fact(fact)
        if found is None:
            raise InvalidInput("There is no fact with this uuid.", hint="search_memory_facts finds facts and their uuids.")
        return found

    async def episodes(self, group_ids: Sequence[str] = (), limit: int = 10) -> list[Episode]:
        """Return the newest episodes of these groups, of the workspace when none is named."""
        return await self.inbox.episodes(self._groups(group_ids), limit)

    async def delete_episode(self, episode: str) -> None:
        """Remove an episode and what it alone says. Raises InvalidInput when there is none with this uuid."""
        if not await self.inbox.delete(episode):
            raise InvalidInput("There is no episode with this uuid.", hint="get_episodes lists episodes and their uuids.")
        self.watch()

    async def delete_fact(self, fact: str) -> None:
        """Remove a fact. Raises InvalidInput when there is none with this uuid."""
        if not await self.inbox.delete_fact(fact):
            others = await self.fact(fact)  # with a server: one that only other machines told
            await self.inbox.delete_fact(fact, others.fact.group_id)
        self.watch()

    async def clear(self, group_ids: Sequence[str] = ()) -> Sequence[str]:
        """Remove all that these groups hold, and return their names; the workspace's when none is named."""
        groups = self._groups(group_ids)
        await self.inbox.clear(groups)
        self.watch()
        return groups

    async def retry(self, episode: str | None = None) -> int:
        """Have a failed episode read once more, or all of them, and return how many that are."""
        count = await self.inbox.retry(episode)
        self.watch()
        return count

    async def rebuild(self) -> int:
        """Have the graph made anew from all episodes, and return how many these are. Until it is, the one there is is searched.

        A server has one graph for all machines: in it, what this one told is removed and told anew.
        """
        count = await self.inbox.rebuild()
        self.watch()
        return count

    async def status(self) -> Status:
        """Return how the memory does."""
        queue, problem = await self.inbox.queue(), await self._problem()
        return Status(
            queue=queue,
            backend=self.config.backend,
            embedding=self.config.embedding,
            owner=owner(self.config.lock),
            message=self._message(queue, problem, await self.inbox.is_building()),
            problem=problem,
        )

    async def _problem(self) -> str:
        """Return what keeps what is told from being read."""
        made = await _made.noted(self.inbox, await self.inbox.target())
        mine = _made.Made(backend=self.config.backend, embedding=self.config.embedding)
        different = "" if made is None else _made.difference(made, mine)
        problems = (
            "" if self.meaning is None else self.meaning.problem(),
            f"{different} {_made.REBUILD}" if different else "",
            await self.inbox.setting(PROBLEM) or "",
        )
        return " ".join(dict.fromkeys(filter(None, problems)))

    def watch(self) -> None:
        """See to it that what is queued is read, as long as this process runs."""
        if self._watch is not None and not self._unread():
            self._watch.begin()

    async def see_to_it(self) -> None:
        """Have what is queued read, by a process that goes on when this one ends."""
        if self._watch is not None and not self._unread():
            await self._watch.look()

    async def aclose(self) -> None:
        """Let go of everything; a drainer that is there goes on."""
        if self._watch is not None:
            await self._watch.aclose()
        await self._knowledge.aclose()
        await self.inbox.aclose()

    def _message(self, queue: Queue, problem: str, is_building: bool) -> str:
        unread = self._unread()
        waiting = queue.queued + queue.running
        failed = f"Episodes that could not be read: {queue.failed}. get_episodes says why, `parley memory retry` tries again."
        parts = [
            f"Episodes that wait to be read: {waiting}. Until then their own words are found." if waiting else "",
            failed if queue.failed else "",
            "Everything that was told has been read." if queue.done and not waiting and not queue.failed else "",
            unread if waiting else "",
            problem,
            (_BUILDING if self.config.server is None else _TELLING_AGAIN) if is_building else "",
            "Search goes by words: set PARLEY_EMBEDDING_MODEL to search by meaning too." if self.config.embedding == LEXICAL else "",
        ]
        return " ".join(part for part in parts if part)

    def _checked(self, wanted: Wanted) -> Wanted:
        if not wanted.query.strip():
            raise InvalidInput("query is empty.")
        return wanted.model_copy(update={"group_ids": self._groups(wanted.group_ids)})

    def _groups(self, group_ids: Sequence[str]) -> tuple[str, ...]:
        return checked_groups(group_ids) or (self.group,)


def new_uuid() -> str:
    """Return a uuid for an episode whose caller has none."""
    return str(uuid.uuid4())
