"""The MCP tools. A new one is a file here, and a word in TOOLS."""

from __future__ import annotations

from tools.chat import chat
from tools.codereview import codereview
from tools.consensus import consensus
from tools.fallback import fallback
from tools.listmodels import listmodels
from tools.threads import threads
from tools.version import version

TOOLS = (chat, fallback, consensus, codereview, listmodels, threads, version)
