"""The folder of what was said while Redis was away, or that no replica has yet: a file for each exchange."""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from memory._home import private_folder
from memory._redis_turns import Said

log = logging.getLogger(__name__)

_STORED = ".stored.json"


class Spool:
    """Exchanges in files of a folder, in the order they were completed. Every method may raise OSError.

    Some wait for Redis, the others for a replica to have what Redis has.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return what is there, the oldest first."""
        try:
            return sorted(name for name in os.listdir(self._folder) if name.endswith(".json"))
        except FileNotFoundError:
            return []

    def waiting(self) -> list[str]:
        """Return what Redis does not have, the oldest first."""
        return [name for name in self.names() if not name.endswith(_STORED)]

    def copying(self) -> list[str]:
        """Return what Redis has and a replica may not have, the oldest first."""
        return [name for name in self.names() if name.endswith(_STORED)]

    def put(self, said: Said, *, is_stored: bool = False) -> None:
        """Keep an exchange, `is_stored` tells whether Redis has it. It is on the disk when this returns."""
        private_folder(self._folder)
        path = self._folder / f"{time.time_ns():020}-{uuid.uuid4().hex}{_STORED if is_stored else '.json'}"
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(said.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        handle = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def get(self, name: str) -> Said | None:
        """Return an exchange, None for one that is not there any more; a file that cannot be read is set aside."""
        path = self._folder / name
        try:
            return Said.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError):
            log.error("the spool holds a file that cannot be read; it is kept as %s.broken", path.stem)
            path.replace(path.with_suffix(".broken"))
            return None

    def drop(self, name: str) -> None:
        """Forget an exchange."""
        (self._folder / name).unlink(missing_ok=True)

    def stored(self, name: str) -> None:
        """Note that Redis has one of those that wait."""
        path = self._folder / name
        path.replace(path.with_suffix(_STORED))

    @contextmanager
    def alone(self) -> Generator[bool]:
        """Tell whether no other process is landing what is here, and keep others from it in the block."""
        private_folder(self._folder)
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _locked(handle)
        finally:
            os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
