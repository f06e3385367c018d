"""What a command is given: the environment as it is, and the env files named before the command."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.environment import load_environment
from cli.output import Parser


@dataclass(frozen=True)
class Context:
    """The surroundings of one command. `environ` is the process's own environment."""

    environ: Mapping[str, str]
    env_files: tuple[str, ...] = ()

    def parser(self, command: str, summary: str, **settings: Any) -> Parser:
        """Return the parser of a command, with the options every command has."""
        parser = Parser(prog=f"parley {command}", description=summary, **settings)
        parser.add_argument("--env-file", action="append", default=[], metavar="FILE", help="load KEY=VALUE lines (repeatable)")
        return parser

    def environment(self, options: argparse.Namespace) -> dict[str, str]:
        """Return the variables that are set, env files included. Raises WrongUse."""
        return load_environment(self.environ, (*self.env_files, *options.env_file))


def parley_version() -> str:
    """Return the installed version; 'unknown' for a source tree that is not installed."""
    try:
        return importlib.metadata.version("parley-mcp")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
