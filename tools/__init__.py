"""The MCP tools. A new one is a file here, and a word in TOOLS."""

from __future__ import annotations

from tools.add_memory import add_memory
from tools.chat import chat
from tools.codereview import codereview
from tools.consensus import consensus
from tools.fallback import fallback
from tools.listmodels import listmodels
from tools.memory_upkeep import clear_graph, delete_entity_edge, delete_episode, get_episodes, get_status
from tools.search_memory import get_entity_edge, search_memory_facts, search_nodes
from tools.threads import threads
from tools.version import version

TOOLS = (
    chat, fallback, consensus, codereview, listmodels, threads, version,
    add_memory, search_memory_facts, search_nodes, get_episodes, get_status,
    delete_episode, get_entity_edge, delete_entity_edge, clear_graph,
)  # fmt: skip
