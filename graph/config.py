"""Where the memory is kept, and which models read for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from conversation.errors import InvalidInput
from conversation.messages import Frozen

BACKENDS: Mapping[str, str] = {
    "neo4j": "neo4j", "neo4j+s": "neo4j", "neo4j+ssc": "neo4j", "bolt": "neo4j", "bolt+s": "neo4j", "bolt+ssc": "neo4j",
    "falkor": "falkordb", "falkors": "falkordb",
}  # fmt: skip
EMBEDDED = "kuzu"
LEXICAL = "lexical"


class GraphConfig(Frozen):
    """The settings of the memory of one PARLEY_HOME. Models are names as tools take them; empty leaves the choice to the chain."""

    home: Path
    url: SecretStr | None = None
    """Of a graph database; None is the embedded one, in `home`."""
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
        return EMBEDDED if self.url is None else BACKENDS[urlsplit(self.url.get_secret_value()).scheme]

    @property
    def embedding(self) -> str:
        """The name of what makes vectors."""
        return self.embedding_model or LEXICAL

    def graph(self, generation: int) -> Path:
        """The file of the embedded graph of that number."""
        return self.home / "graph" / str(generation)

    @classmethod
    def from_env(cls, env: Mapping[str, str], home: Path) -> GraphConfig:
        """Read PARLEY_GRAPH_URL and the PARLEY_ names of models. Raises InvalidInput; no password is repeated."""
        url = env.get("PARLEY_GRAPH_URL", "").strip()
        if url:
            _check(url)
        small = env.get("PARLEY_EXTRACTION_SMALL_MODEL", "").strip()
        return cls(
            home=home,
            url=SecretStr(url) if url else None,
            embedding_model=env.get("PARLEY_EMBEDDING_MODEL", "").strip(),
            extraction_model=env.get("PARLEY_EXTRACTION_MODEL", "").strip(),
            extraction_small_model=small,
        )


def _check(url: str) -> None:
    example = "neo4j://user:password@127.0.0.1:7687 or falkor://127.0.0.1:6379"
    try:
        parts = urlsplit(url)
        known = parts.scheme in BACKENDS and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise InvalidInput("PARLEY_GRAPH_URL is not the address of a graph database.", hint=f"Write it as {example}, or leave it out.")
