"""The counterpart of every start and memory figure: a bare mcp 2.x server with one tool and nothing else."""

from __future__ import annotations

from mcp.server import MCPServer

bare = MCPServer(name="bare", version="1")


@bare.tool()
def echo(text: str) -> str:
    """Return the text."""
    return text


if __name__ == "__main__":
    bare.run(transport="stdio")
