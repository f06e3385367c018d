"""Files and images a caller names, read so that nothing outside the workspace gets out.

A path is resolved first and then walked from its root one folder at a time, each step refusing to follow a link. What is
read is therefore what was checked: a folder or file exchanged for a link in between makes the walk fail.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from conversation.messages import Warned
from conversation.scrub import scrub
from conversation.threads import Attachment
from tools.bounds import cut, printable
from tools.limits import Limits
from tools.refusals import Refused, check_content, check_name, decode, image_type

_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_REASONS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "may not be read",
    errno.EPERM: "may not be read",
    errno.EINVAL: "changed while it was being opened, or links to itself",
    errno.ELOOP: "changed while it was being opened, or links to itself",
    errno.ENAMETOOLONG: "has too long a name",
    errno.ENXIO: "is not a regular file",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is: a root, and the way down from it without links. `shown` is its path as models see it."""

    root: Path
    parts: tuple[str, ...]
    shown: str


@dataclass(slots=True)
class Reading:
    """What was read, in the order named, and a warning for each file refused."""

    attachments: list[Attachment] = field(default_factory=list[Attachment])
    warnings: list[Warned] = field(default_factory=list[Warned])
    seen: set[str] = field(default_factory=set[str])
    total: int = 0

    def refuse(self, named: str, reason: str, *, subject: str = "it was") -> None:
        """Note a refusal, naming the file as the caller did."""
        self.warnings.append(Warned(code="file_refused", message=f"{_shown(named)} {reason}; {subject} not sent."))


class FileReader:
    """Reads text files and images below `roots`; relative paths start at `workspace`."""

    def __init__(self, workspace: Path, roots: Sequence[Path] = (), *, limits: Limits | None = None) -> None:
        self._workspace = Path(os.path.realpath(workspace))
        self._roots = tuple(Path(os.path.realpath(root)) for root in (roots or (workspace,)))
        self._labels = _labels(self._roots, self._workspace)
        self._limits = limits or Limits()

    async def read(self, files: Sequence[str], images: Sequence[str] = ()) -> Reading:
        """Return what the named files and images hold, each once; never raises for a file that is refused."""
        if not files and not images:
            return Reading()
        return await asyncio.to_thread(self.read_now, files, images)

    def read_now(self, files: Sequence[str], images: Sequence[str] = ()) -> Reading:
        """Do the work of `read` in the calling thread."""
        reading = Reading()
        limits = self._limits
        _take(reading, _unique(files), limits.max_files, self._text)
        _take(reading, _unique(images), limits.max_images, self._image)
        return reading

    def read_text(self, named: str) -> tuple[str, str]:
        """Return a file's path as models see it, and its text. Raises Refused for what `read` would warn of."""
        place = self.resolve(named)
        return place.shown, _checked(place, self.take(place, self._limits.max_file_bytes))

    def _text(self, named: str, reading: Reading) -> Attachment | None:
        place = self.resolve(named)
        if place.shown in reading.seen:
            return None
        reading.seen.add(place.shown)
        left = self._limits.max_total_file_bytes - reading.total
        data = self.take(place, self._limits.max_file_bytes, left)
        text = _checked(place, data)
        reading.total += len(data)
        return Attachment(path=place.shown, kind="text", media_type="text/plain", content=text, digest=hashlib.sha256(data).hexdigest())

    def _image(self, named: str, reading: Reading) -> Attachment | None:
        shown, data = self._image_bytes(named)
        digest = hashlib.sha256(data).hexdigest()
        if digest in reading.seen:
            return None
        media_type = image_type(data)
        if media_type is None:
            raise Refused("is not a PNG, JPEG, GIF or WebP image")
        reading.seen.add(digest)
        shown = shown or f"image-{digest[:8]}"
        return Attachment(path=shown, kind="image", media_type=media_type, content=base64.b64encode(data).decode(), digest=digest)

    def _image_bytes(self, named: str) -> tuple[str | None, bytes]:
        """Return the image's path, None for a data URL, and its content."""
        if named[:5].lower() != "data:":
            place = self.resolve(named)
            return place.shown, self.take(place, self._limits.max_image_bytes)
        head = _DATA_URL.match(named)
        if head is None:
            raise Refused("is not a base64 data URL")
        if (len(named) - head.end()) * 3 // 4 > self._limits.max_image_bytes + 2:
            raise Refused(_over(self._limits.max_image_bytes))
        try:
            return None, base64.b64decode(named[head.end() :], validate=True)
        except (binascii.Error, ValueError):
            raise Refused("is not valid base64") from None

    def resolve(self, named: str) -> Place:
        """Return where the named file is, all links followed. Raises Refused when that is nowhere a model may see."""
        place = self.locate(named)
        if not place.parts:
            raise Refused("is a folder; name the files in it")
        return place

    def locate(self, named: str) -> Place:
        """Return where the named file or folder is, as `resolve` does; a root itself is a place without parts."""
        if _URL.match(named):
            raise Refused("is a URL; nothing is fetched from the network")
        if not named.strip() or "\x00" in named:
            raise Refused("is not a path")
        given = self._workspace / named
        self._below_root(Path(os.path.normpath(given)))
        real = _real(given)
        root, below = self._below_root(real)
        if root is None:
            raise Refused("is outside the workspace")
        if real.is_relative_to(self._workspace):
            below_workspace = real.relative_to(self._workspace)
            return Place(root, below.parts, unicode_path(below_workspace.as_posix()))
        return Place(root, below.parts, unicode_path("/".join((self._labels[root], *below.parts))))

    def _below_root(self, path: Path) -> tuple[Path | None, PurePath]:
        """Return the path's root and the rest, having checked the names in the rest; where the root itself lies is the user's choice."""
        root = next((root for root in self._roots if path.is_relative_to(root)), None)
        below = path if root is None or root == Path("/") else path.relative_to(root)
        check_name(below)
        return root, PurePath(*path.relative_to(root).parts) if root else below

    def take_named(self, named: str, limit: int) -> bytes:
        """Return the bytes of one file that is neither an image nor to become an attachment. Raises Refused as `read` refuses."""
        place = self.resolve(named)
        data = self.take(place, limit)
        check_content(place.parts[-1], data)
        return data

    def listing(self, named: str) -> list[str]:
        """Return the names in a folder of the workspace, none when it is not there. Raises Refused when a model may not see it."""
        if not os.path.lexists(self._workspace / named):
            return []
        place = self.resolve(named)
        try:
            folder = _folder(place.root, place.parts)
        except OSError as error:
            raise _refusal(error) from None
        try:
            return os.listdir(folder)
        finally:
            os.close(folder)

    def take(self, place: Place, limit: int, left: int | None = None) -> bytes:
        """Return the file's bytes. Raises Refused when it is no regular file, too large, or not what was resolved."""
        try:
            with os.fdopen(_walk(place), "rb", buffering=0) as opened:
                size = os.fstat(opened.fileno()).st_size
                if size > limit:
                    raise Refused(_over(limit))
                if left is not None and size > left:
                    raise Refused("is beyond what the files of one call may hold together")
                return _read(opened.fileno(), limit)
        except OSError as error:
            raise _refusal(error) from None


def _checked(place: Place, data: bytes) -> str:
    """Return the text, having looked for secrets in the bytes and in the text: a key in UTF-16 is one as well."""
    check_content(place.parts[-1], data)
    text = decode(data)
    check_content(place.parts[-1], text.encode())
    return text


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except OSError as error:  # a link exchanged for a file just then
        raise _refusal(error) from None


def _refusal(error: OSError) -> Refused:
    return Refused(_REASONS.get(error.errno or 0, "cannot be read"))


def _walk(place: Place) -> int:
    """Return a descriptor of the regular file at `place`, having followed no link below the root and opened nothing else."""
    here = _folder(place.root, place.parts[:-1])
    try:
        # Looked at before it is opened: opening a device or a pipe can already do something.
        _regular(os.stat(place.parts[-1], dir_fd=here, follow_symlinks=False))
        opened = os.open(place.parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    try:
        _regular(os.fstat(opened))
    except Refused:
        os.close(opened)
        raise
    return opened


def _folder(root: Path, parts: Sequence[str]) -> int:
    """Return a descriptor of the folder that is reached from `root` by `parts`, having followed no link below the root."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        try:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def _regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise Refused("is a folder; name the files in it")
    if stat.S_ISLNK(found.st_mode):
        raise Refused("changed while it was being opened, or links to itself")
    if not stat.S_ISREG(found.st_mode):
        raise Refused("is not a regular file")


def _read(descriptor: int, limit: int) -> bytes:
    """Return everything, as long as it stays within `limit` while it is read."""
    chunks: list[bytes] = []
    size = 0
    while chunk := os.read(descriptor, 1 << 20):
        size += len(chunk)
        if size > limit:
            raise Refused(_over(limit))
        chunks.append(chunk)
    return b"".join(chunks)


def _take(reading: Reading, names: Sequence[str], most: int, read: Callable[[str, Reading], Attachment | None]) -> None:
    """Add what `read` returns of each to the reading, or its refusal; of what is beyond `most` the first is named and the rest counted."""
    for named in names[:most]:
        try:
            attachment = read(named, reading)
        except Refused as refusal:
            reading.refuse(named, str(refusal))
        else:
            if attachment is not None:
                reading.attachments.append(attachment)
    beyond = len(names) - most
    if beyond == 1:
        reading.refuse(names[most], f"is one too many: a call takes {most}")
    elif beyond > 1:
        reading.refuse(names[most], f"and {beyond - 1:,} more after it are too many: a call takes {most}", subject="they were")


def _labels(roots: Iterable[Path], workspace: Path) -> dict[Path, str]:
    """Return what files below each root are shown under: its name, numbered where another file could bear the same path."""
    labels: dict[Path, str] = {}
    for root in dict.fromkeys(roots):
        names = (root.name if number == 1 else f"{root.name}-{number}" for number in itertools.count(1))
        labels[root] = next(name for name in names if name not in labels.values() and not (name and os.path.lexists(workspace / name)))
    return labels


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def unicode_path(path: str) -> str:
    """The path with bytes that are no UTF-8 replaced, since it goes into JSON."""
    return os.fsencode(path).decode("utf-8", "replace")


def _over(limit: int) -> str:
    return f"is larger than {limit:,} bytes"


def _shown(named: str) -> str:
    """The name as the caller wrote it, in quotes; of a data URL only its kind."""
    return "an image given as a data URL" if named[:5].lower() == "data:" else f"'{shown_name(named)}'"


def shown_name(named: str) -> str:
    """Return the name as the caller wrote it, on one line, of bounded length, without home paths."""
    return cut(printable(scrub(named)), 200)
