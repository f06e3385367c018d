"""Entry point of the command `parley`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from cli.context import Context
from cli.output import Failed, WrongUse, did_you_mean, flush, one_line, put, say
from conversation.errors import ParleyError
from conversation.scrub import scrub

_OUR_PACKAGES = ("cli", "conversation", "gateway", "graph", "memory", "providers", "simulator", "tools")
DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("cli.commands.serve", "run the MCP server, on stdio unless told otherwise"),
    "up": ("cli.commands.up", "run the HTTP shims and the router"),
    "models": ("cli.commands.models", "list providers and their models"),
    "threads": ("cli.commands.threads", "list, show, search, export, import, remove, back up and restore conversations"),
    "memory": ("cli.commands.memory", "remember things, search what is remembered, and look after it"),
    "spending": ("cli.commands.spending", "show what answers cost, by day, provider, model and session"),
    "config": ("cli.commands.config", "print what Claude Code needs, or env file templates"),
    "doctor": ("cli.commands.doctor", "check the installation and the configuration"),
    "demo": ("cli.commands.demo", "run the main job against simulated providers"),
    "simulate": ("cli.commands.simulate", "run the simulated providers on a loopback port"),
    "version": ("cli.commands.version", "print the version"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong use or wrong configuration."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(arguments, os.environ)
        flush()
    except WrongUse as error:
        return _complain(str(error), WRONG_USE)
    except Failed as error:
        return _complain(str(error), FAILED)
    except ParleyError as error:
        return _complain(f"{error.message} {error.hint}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return DONE  # the reader of our output has seen enough (parley models | head): nothing failed
    except SystemExit as exit_:  # argparse prints help and leaves this way
        return exit_.code if isinstance(exit_.code, int) else DONE
    except ModuleNotFoundError as error:
        return _complain(_missing(error), FAILED)
    except Exception as error:  # the command line's boundary: a defect is one line too, and its place helps to mend it
        return _complain(_unexpected(error), FAILED)
    return status


def _run(arguments: list[str], environ: Mapping[str, str]) -> int:
    env_files: list[str] = []
    while arguments and arguments[0].startswith("-"):
        option = arguments.pop(0)
        if option in ("-h", "--help"):
            arguments = ["help"]
        elif option in ("-V", "--version"):
            arguments = ["version"]
        elif option == "--env-file" or option.startswith("--env-file="):
            env_files.append(_file_of(option, arguments))
        else:
            raise WrongUse(f"parley: unknown option {one_line(option, 60)} (see parley --help)")
    if not arguments:
        raise WrongUse("parley: name a command (see parley --help)")
    command, *rest = arguments
    if sys.__stdout__ is None and command != "serve":  # which says itself what it needs
        raise Failed("stdout is closed: there is nowhere to write to")
    if command == "help":
        put(_help())
        return DONE
    if command not in COMMANDS:
        raise WrongUse(f"parley: there is no command {one_line(command, 60)!r}{did_you_mean(command, COMMANDS)} (see parley --help)")
    run: Callable[[Context, list[str]], int] = importlib.import_module(COMMANDS[command][0]).run
    return run(Context(environ, tuple(env_files)), rest)


def _file_of(option: str, arguments: list[str]) -> str:
    """Return the file of an --env-file, taken from the arguments if it is one of them. Raises WrongUse."""
    file = option.partition("=")[2] or (arguments.pop(0) if arguments and "=" not in option else "")
    if not file:
        raise WrongUse("parley: --env-file needs a file (see parley --help)")
    return file


def _help() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name.ljust(width)}  {summary}" for name, (_, summary) in COMMANDS.items())
    return f"""usage: parley [--env-file FILE] COMMAND [...]

Lets Claude Code hold a conversation with other models.

{listed}

parley COMMAND --help tells its options. Data goes to stdout, words to stderr."""


def _complain(text: str, status: int) -> int:
    """Say the error in one line and return the status."""
    named = text if text.startswith(("parley ", "parley:")) else f"parley: {text}"
    with suppress(Failed, OSError, ValueError):  # what was put before stands before
        flush()
    with suppress(OSError, ValueError):  # nobody is left to hear it
        say(one_line(scrub(named), 1000))
    return status


def _missing(error: ModuleNotFoundError) -> str:
    """What to say of a module there is not: a library that is not installed, unless the defect is ours."""
    library = (error.name or "").partition(".")[0]
    if not library or library in _OUR_PACKAGES:
        return _unexpected(error)
    install = "install Parley with `pipx install .`, or run `make install` in its folder and start .venv/bin/parley"
    return f"the Python package {library} is not installed for {sys.executable}: {install}"


def _unexpected(error: Exception) -> str:
    return f"unexpected {type(error).__name__} at {_place(error)}; PARLEY_LOG_LEVEL=debug may say more"


def _place(error: BaseException) -> str:
    """The file and line where an error arose; its text could hold what must not be shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "an unknown place" if trace is None else f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
