"""The main job from end to end, with no key: a real MCP client talks to the real server, which asks simulated upstreams.

Only the models are simulated. The client, the server process, the LiteLLM translation, the sockets, the store and the kill
are real.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from cli import demo_memory, demo_panel
from cli.output import Parser
from simulator import ThreadedSimulator, running

PRIME = "PostgreSQL, because LISTEN/NOTIFY saves you a second broker"
QUOTING_CLAUDE = 'Claude said "{quote:PostgreSQL, because [A-Za-z/]+ saves you a second broker}". I agree, up to 1,000 jobs/s. (simulated)'
SCRIPT: tuple[tuple[str, str, str], ...] = (
    ("vertex_claude", "job queue", f"My advice is {PRIME}. (simulated)"),
    ("vertex_gemini", "agree", QUOTING_CLAUDE),
    ("openrouter", "monitor", "Watch the age of the oldest job, not the length of the queue. (simulated)"),
    ("vertex_claude", "sum up", 'In short: "{quote:up to 1,000 jobs/s}", and I still say PostgreSQL. (simulated)'),
)


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: the simulator, the server's environment, its command."""

    sim: ThreadedSimulator
    env: Mapping[str, str]
    folder: Path

    @asynccontextmanager
    async def server(self) -> AsyncGenerator[tuple[Client, int]]:
        """Start the real server and yield a connected client and the server's process id."""
        pid_file = self.folder / "server.pid"
        # The shell writes its own pid and then becomes the server, so that the demo can kill exactly that process.
        words = ["-c", 'echo $$ > "$0"; exec "$@"', str(pid_file), *_parley(), "serve"]
        parameters = StdioServerParameters(command="/bin/sh", args=words, env=dict(self.env), cwd=self.folder)
        async with Client(parameters) as client:
            yield client, int(pid_file.read_text(encoding="ascii"))


def _parley() -> list[str]:
    """Return the command that starts Parley: the console script beside this interpreter, else this very program."""
    script = Path(sys.executable).with_name("parley")
    return [str(script)] if script.exists() else [sys.executable, sys.argv[0]]


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Return a tool's structured answer. Raises RuntimeError with what the server said instead."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(" ".join(block.text for block in result.content if isinstance(block, TextContent)))
    return cast("dict[str, Any]", result.structured_content)


def tell(who: str, text: str) -> None:
    """Print one line of the conversation."""
    print(f"  {who:<42} {text}", flush=True)


def show(answer: Mapping[str, Any]) -> None:
    """Print an answer: who gave it, what it cost, and which attempts it took."""
    usage = answer["usage"]
    tell(f"{answer['provider']}/{answer['model']}", answer["content"])
    cost = "unknown" if usage["cost_usd"] is None else f"${usage['cost_usd']:.6f}"
    tell("", f"[turn {answer['turn']}, {usage['input_tokens']} tokens in, {usage['output_tokens']} out, cost {cost} at list prices]")
    for attempt in answer.get("attempts", ()):
        status = f" HTTP {attempt['status']}" if attempt.get("status") else ""
        tell("", f"  attempt {attempt['provider']}/{attempt['model']}: {attempt['outcome']}{status} after {attempt['ms']} ms")


async def ask(client: Client, tool: str, prompt: str, **arguments: Any) -> dict[str, Any]:
    """Say a prompt to a tool, print both sides, and return the answer."""
    tell("you", prompt)
    answer = await call(client, tool, prompt=prompt, **arguments)
    show(answer)
    return answer


async def conversation(stage: Stage) -> int:
    """Play the whole demo; return how many of its checks failed."""
    async with stage.server() as (client, pid):
        print("\n1. Claude on Vertex is asked, over MCP on stdio.")
        first = await ask(client, "chat", "Which database should hold our job queue?", model="vertex_claude/claude-sonnet-4-6")
        thread = first["continuation_id"]
        print(f"\n2. The same thread ({thread}) goes on with Gemini, which quotes Claude.")
        second = await ask(client, "chat", "Do you agree?", model="gemini", continuation_id=thread)
        print("\n3. Vertex answers 503 and GitHub Models 429: fallback goes on to OpenRouter.")
        stage.sim.fault("vertex_claude", "status", status=503)
        stage.sim.fault("github_models", "status", status=429, headers={"retry-after": "30"})
        chain = ["vertex_claude", "github_models", "openrouter"]
        third = await ask(client, "fallback", "How do we monitor it?", chain=chain, continuation_id=thread)
        lost = sum(attempt["ms"] for attempt in third["attempts"][:-1])
        tell("", f"[failover took {lost} ms over {len(third['attempts']) - 1} failed providers]")
        stage.sim.clear_faults()
        print(f"\n4. The server (pid {pid}) is killed with -9, a new one is started, and the thread goes on.")
        os.kill(pid, signal.SIGKILL)
    async with stage.server() as (client, pid):
        tell("", f"[new server: pid {pid}]")
        fourth = await ask(client, "chat", "Please sum up.", model="vertex_claude/claude-sonnet-4-6", continuation_id=thread)
        turns = (await call(client, "threads", action="show", continuation_id=thread))["turns"]
        tell("", f"[the thread holds {len(turns)} turns by {len({turn['model'] for turn in turns if turn['role'] == 'assistant'})} models]")
        more = await panel_and_review(stage, client, thread)
    more |= await demo_memory.play(stage, call, tell, show)
    checks = {
        "Gemini quoted what Claude had said": PRIME in second["content"],
        "fallback passed two failing providers": [one["outcome"] for one in third["attempts"]] == ["overloaded", "rate_limited", "ok"],
        "the thread outlived kill -9": "up to 1,000 jobs/s" in fourth["content"] and len(turns) == 8,
        **more,
    }
    print()
    for what, held in checks.items():
        print(f"  {'ok  ' if held else 'FAIL'} {what}")
    return list(checks.values()).count(False)


async def panel_and_review(stage: Stage, client: Client, thread: str) -> dict[str, bool]:
    """Play the second half on the same thread; return what it has to show, and whether it did."""
    print("\n5. Three models are asked at once, of which GitHub's is overloaded; a fourth compares the answers.")
    stage.sim.fault("github_models", "status", status=503)
    question = "Queue or broker: where do the jobs go?"
    tell("you", question)
    panel = await call(
        client, "consensus", prompt=question, models=list(demo_panel.PANEL), synthesizer=demo_panel.JUDGE, continuation_id=thread
    )
    demo_panel.show_panel(panel)
    print("\n6. Two models review a little shop with three known faults; another one tries to refute each finding.")
    review = await call(client, "codereview", paths=["shop"], models=list(demo_panel.REVIEWERS), verify=True, continuation_id=thread)
    demo_panel.show_review(review)
    print("\n7. The thread goes on, and knows both.")
    chat = await ask(client, "chat", "What did both come to?", model="gemini", continuation_id=thread)
    return demo_panel.checks(panel, review, chat)


async def _play() -> int:
    with tempfile.TemporaryDirectory(prefix="parley-demo-", ignore_cleanup_errors=True) as name, running() as sim:
        folder = Path(name)
        for provider, match, text in SCRIPT:
            sim.rule(provider, text, match_last_user=match)
        demo_panel.script(sim)
        demo_memory.script(sim)
        demo_panel.write_shop(folder)
        home = {"PATH": os.environ.get("PATH", os.defpath), "HOME": name, "PARLEY_HOME": str(folder / "home")}
        stage = Stage(sim, {**home, **sim.environment(folder)}, folder)
        return await conversation(stage)


def main(arguments: list[str]) -> int:
    """Run `parley demo`; 0 when everything it shows held."""
    parser = Parser(prog="parley demo", description="Hold a conversation across four simulated providers, with no key.")
    parser.parse_args(arguments)
    print("Parley demo. The four upstreams are SIMULATED on loopback; client, server, translation and store are real.", flush=True)
    return 1 if asyncio.run(_play()) else 0
