"""Running the command: in a process of its own, or, where the process does not matter, in this one."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.log import OURS, SILENT
from cli.main import main

PARLEY = Path(sys.executable).with_name("parley")
Ran = tuple[int, str, str]
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


def parley(*arguments: str | Path, cwd: Path | None = None, stdin: str = "", env: Mapping[str, str] | None = None) -> Ran:
    """Run the installed `parley` and return its exit status, its stdout and its stderr."""
    words = [str(PARLEY), *map(str, arguments)]
    done = subprocess.run(words, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=50, env={**os.environ, **(env or {})})
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def without_privileges() -> None:
    """To be run before exec: not even root may then open what a file's mode forbids."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def ran(words: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> Ran:
    """Status, stdout and stderr of a process that may read nothing but what it may."""
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **(env or {})}, input=b"", capture_output=True, timeout=50, preexec_fn=without_privileges
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def in_shell(script: str, cwd: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run a shell's words in which $PARLEY is the command."""
    return ran(["/bin/sh", "-c", script, "sh", *arguments], cwd, {"PARLEY": str(PARLEY), **(env or {})})


def is_one_line(err: str) -> bool:
    return err.startswith("parley") and err.count("\n") == 1 and "unexpected" not in err


@contextmanager
def untouched() -> Iterator[None]:
    """Leave logging and the environment as they were."""
    root, environ = logging.getLogger(), dict(os.environ)
    handlers, raising = root.handlers[:], logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in (None, *OURS, *SILENT)}
    try:
        yield
    finally:
        root.handlers[:], logging.raiseExceptions = handlers, raising
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        logging.captureWarnings(False)
        os.environ.clear()
        os.environ.update(environ)


class Here:
    """Runs commands in this process: what `parley` would do, without the half second a process takes to start."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture, self._patch = capture, patch

    def __call__(self, *arguments: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Ran:
        """Return exit status, stdout and stderr."""
        self._capture.readouterr()
        with untouched(), self._patch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            status = main([str(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return status, out, err

    def refused(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Expect wrong use and return its one line."""
        status, out, err = self(*arguments, env=env)
        assert (status, out) == (2, ""), (status, out, err)
        assert err.startswith("parley") and err.count("\n") == 1, err
        return err


Run = Callable[..., Ran]
