"""A stand-in for FalkorDB that speaks the protocol of Redis and nothing of Cypher: it notes who asked what of which graph.

It shows where questions go and what goes with them. That FalkorDB understands them it cannot show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

Cell = str | Sequence[str]
Row = dict[str, Cell]
Answers = Callable[[str, str], Sequence[Row]]
"""What a graph answers to a question: rows, by column."""
_STRING, _ARRAY = 2, 6


def nothing(graph: str, question: str) -> Sequence[Row]:
    return ()


class FalkorStandIn:
    """`refuses` is what it says to every command after the first few, as a server does that wants a password."""

    def __init__(self, graphs: Sequence[str] = (), answers: Answers = nothing, refuses: str = "") -> None:
        self.graphs, self.answers, self.refuses = list(graphs), answers, refuses
        self.commands: list[list[str]] = []
        self.port = 0

    async def __aenter__(self) -> FalkorStandIn:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Of which graph what was asked."""
        return [(command[1], command[2]) for command in self.commands if command[0] == "GRAPH.QUERY"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            words: list[str] = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2].decode())
            self.commands.append(words)
            writer.write(self._answer(words))
        writer.close()

    def _answer(self, words: list[str]) -> bytes:
        if self.refuses:
            return f"-{self.refuses}\r\n".encode()
        if words[0] == "INFO":
            return _encoded("redis_version:7.4.0\r\nredis_mode:standalone\r\n")
        if words[0] == "GRAPH.LIST":
            return _encoded(self.graphs)
        if words[0] == "GRAPH.QUERY":
            return _encoded(self._result(self.answers(words[1], words[2])))
        return b"+OK\r\n"

    def _result(self, rows: Sequence[Row]) -> list[Any]:
        statistics = ["Cached execution: 0"]
        if not rows:
            return [statistics]
        return [[[1, name] for name in rows[0]], [[_cell(value) for value in row.values()] for row in rows], statistics]


def _cell(value: Cell) -> list[Any]:
    return [_STRING, value] if isinstance(value, str) else [_ARRAY, [_cell(one) for one in value]]


def _encoded(value: Any) -> bytes:
    if isinstance(value, int):
        return f":{value}\r\n".encode()
    if isinstance(value, str):
        return f"${len(value.encode())}\r\n{value}\r\n".encode()
    return f"*{len(value)}\r\n".encode() + b"".join(map(_encoded, value))
