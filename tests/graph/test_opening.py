"""The graph opened for a drainer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("graphiti_core")

from conversation.errors import StoreBusy
from graph import lexical
from graph._graphiti import Graph
from graph.config import QUIET_ENVIRONMENT, GraphConfig
from graph.inbox import Inbox
from graph.known import Known
from graph.opening import Opener
from tests.graph.test_graphiti import Model


async def test_a_graph_of_which_nothing_can_be_noted_is_let_go_of(
    inbox: Inbox, parley_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: Any) -> None:
        raise StoreBusy("Another process holds the memory.")

    model: Any = Model()
    opener = Opener(GraphConfig(home=parley_home), inbox, model)
    monkeypatch.setattr(inbox, "set", busy)
    with pytest.raises(StoreBusy):
        await opener(1)
    again = await Graph.open(parley_home / "graph" / "1", model, lexical.embed, Known(inbox.database, 1))
    await again.aclose()


def test_all_of_it_is_in_the_state_folder(parley_home: Path) -> None:
    config = GraphConfig(home=parley_home)
    files = (config.database, config.lock, config.log, config.crash, config.graph(3))
    assert [str(file.relative_to(parley_home)) for file in files] == [
        "memory.db", "memory.lock", "memory.log", "memory.crash", "graph/3",
    ]  # fmt: skip


def test_a_projects_own_environment_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SNEAKY=1\n")
    code = "import os; from dotenv import load_dotenv; load_dotenv('.env'); print('SNEAKY' in os.environ)"
    for quiet, expected in (({}, "True"), (QUIET_ENVIRONMENT, "False")):
        env = {"PATH": os.environ["PATH"], **quiet}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.strip() == expected
