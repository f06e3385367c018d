"""Where the memory is kept, and which models read for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from conversation.errors import InvalidInput
from conversation.messages import Frozen

BACKENDS: Mapping[str, str] = {
    "neo4j": "neo4j", "neo4j+s": "neo4j", "neo4j+ssc": "neo4j", "bolt": "neo4j", "bolt+s": "neo4j", "bolt+ssc": "neo4j",
    "falkor": "falkordb", "falkors": "falkordb",
}  # fmt: skip
_PORTS: Mapping[str, int] = {"neo4j": 7687, "falkordb": 6379}
EMBEDDED = "kuzu"
LEXICAL = "lexical"
QUIET_ENVIRONMENT: Mapping[str, str] = {"GRAPHITI_TELEMETRY_ENABLED": "false", "PYTHON_DOTENV_DISABLED": "1"}
"""To be set before Graphiti is imported: it tells nobody of its use, and takes no project's .env for its own."""
EXAMPLE_MODEL = "openrouter/openai/text-embedding-3-small"
_MODEL = re.compile(r"[A-Za-z0-9_]+/[A-Za-z0-9_.:@/-]{1,160}", re.ASCII)


class Server(Frozen):
    """A graph database as PARLEY_GRAPH_URL names it."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: SecretStr = SecretStr("")
    database: str = ""
    """Of Neo4j; empty is the one called neo4j."""

    @property
    def backend(self) -> str:
        """The name of its engine."""
        return BACKENDS[self.scheme]

    @property
    def is_tls(self) -> bool:
        """Whether FalkorDB is spoken to over TLS; for Neo4j its scheme says more."""
        return self.scheme == "falkors"

    @property
    def address(self) -> str:
        """Its address, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Server:
        """Read an address. Raises InvalidInput, which repeats nothing of it."""
        example = "neo4j://user:password@127.0.0.1:7687 or falkor://127.0.0.1:6379"
        parts = _parts(url)
        if parts is None or not parts.hostname:
            raise InvalidInput("PARLEY_GRAPH_URL is not the address of a graph database.", hint=f"Write it as {example}, or leave it out.")
        backend, database = BACKENDS[parts.scheme], unquote(parts.path.strip("/"))
        if parts.query or parts.fragment or (database and backend != "neo4j"):
            raise InvalidInput("PARLEY_GRAPH_URL says more than an address.", hint=f"Write it as {example}; # and ? as %23 and %3F.")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or _PORTS[backend],
            user=unquote(parts.username or ""),
            password=SecretStr(unquote(parts.password or "")),
            database=database,
        )


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address, None when it is none of a graph database."""
    try:
        parts = urlsplit(url)
        return parts if parts.scheme in BACKENDS and parts.port != 0 else None
    except ValueError:
        return None


class GraphConfig(Frozen):
    """The settings of the memory of one PARLEY_HOME. Models are names as tools take them; empty leaves the choice to the chain."""

    home: Path
    server: Server | None = None
    """A graph database; None is the embedded one, in `home`."""
    embedding_model: str = ""
    extraction_model: str = ""
    extraction_small_model: str = ""
    """For what asks less of a model; empty is `extraction_model`."""

    @property
    def database(self) -> Path:
        """The file of the inbox and of what was found in it."""
        return self.home / "memory.db"

    @property
    def lock(self) -> Path:
        """The file that the process which alone opens the graph holds a lock on, and has its number in."""
        return self.home / "memory.lock"

    @property
    def log(self) -> Path:
        """What that process says."""
        return self.home / "memory.log"

    @property
    def crash(self) -> Path:
        """Where it stood when it crashed, if it did."""
        return self.home / "memory.crash"

    @property
    def backend(self) -> str:
        """The name of the graph's engine."""
        return EMBEDDED if self.server is None else self.server.backend

    @property
    def embedding(self) -> str:
        """The name of what makes vectors."""
        return self.embedding_model or LEXICAL

    def graph(self, generation: int) -> Path:
        """The file of the embedded graph of that number."""
        return self.home / "graph" / str(generation)

    @classmethod
    def from_env(cls, env: Mapping[str, str], home: Path) -> GraphConfig:
        """Read PARLEY_GRAPH_URL and the PARLEY_ names of models. Raises InvalidInput; no password is repeated.

        That a provider has no such model is told when it is asked.
        """
        url = env.get("PARLEY_GRAPH_URL", "").strip()
        return cls(
            home=home,
            server=Server.of(url) if url else None,
            embedding_model=_embedding_model(env.get("PARLEY_EMBEDDING_MODEL", "").strip()),
            extraction_model=env.get("PARLEY_EXTRACTION_MODEL", "").strip(),
            extraction_small_model=env.get("PARLEY_EXTRACTION_SMALL_MODEL", "").strip(),
        )


def _embedding_model(name: str) -> str:
    """Return the name of an embedding model, nothing for vectors of words."""
    if name in ("", LEXICAL):
        return ""
    if not _MODEL.fullmatch(name):
        hint = f"Write it as {EXAMPLE_MODEL}, or leave it out to search by words."
        raise InvalidInput(f"PARLEY_EMBEDDING_MODEL is not the exact name of a model: {name[:80]!r}.", hint=hint)
    return name
