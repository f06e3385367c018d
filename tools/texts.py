"""The prompts Parley itself writes, as Markdown files beside the roles."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import Template


@cache
def text(name: str) -> str:
    """Return the prompt tools/prompts/NAME.md."""
    return (Path(__file__).parent / "prompts" / f"{name}.md").read_text("utf-8").strip()


def filled(name: str, **values: str) -> str:
    """Return the prompt with its $placeholders filled in; what is filled in is not looked at again."""
    return Template(text(name)).substitute(values)
