"""The MCP tools. A new one is a file here, and a word in TOOLS."""

from __future__ import annotations

from tools.add_memory import add_memory
from tools.chat import chat
from tools.clear_graph import clear_graph
from tools.codereview import codereview
from tools.consensus import consensus
from tools.delete_entity_edge import delete_entity_edge
from tools.delete_episode import delete_episode
from tools.fallback import fallback
from tools.get_entity_edge import get_entity_edge
from tools.get_episodes import get_episodes
from tools.get_status import get_status
from tools.listmodels import listmodels
from tools.search_memory_facts import search_memory_facts
from tools.search_nodes import search_nodes
from tools.threads import threads
from tools.version import version

TOOLS = (
    chat, fallback, consensus, codereview, listmodels, threads, version,
    add_memory, search_memory_facts, search_nodes, get_episodes, get_status,
    delete_episode, get_entity_edge, delete_entity_edge, clear_graph,
)  # fmt: skip
