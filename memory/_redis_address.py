"""What a REDIS_URL says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from conversation.errors import InvalidInput

_DEFAULT_PORT, _SENTINEL_PORT = 6379, 26379
_PORTS = {"": _DEFAULT_PORT, "sentinel": _SENTINEL_PORT, "cluster": _DEFAULT_PORT}
_FORMS = "redis://host:6379/0, rediss://user:password@host, redis+sentinel://host:26379/service and redis+cluster://host:7000"
_ENCODED = "Write the signs / ? # @ of a user or a password as %2F %3F %23 %40."
_HIDDEN_SIGN = re.compile(r"[/?#].*@")


class Address(NamedTuple):
    """What a REDIS_URL says. `kind` is empty for one server, or "sentinel" or "cluster"."""

    kind: str
    hosts: tuple[tuple[str, int], ...]
    tls: bool
    user: str | None
    password: str | None
    service: str
    database: int
    options: dict[str, str]
    path: str = ""
    """Of a Unix socket."""


class _Unreadable(Exception):
    """What is wrong with a URL, without a word of it: any part of one that is not understood may be a password."""

    def __init__(self, reason: str, hint: str = f"Forms: {_FORMS}.") -> None:
        super().__init__(reason)
        self.hint = hint


def address_of(url: str) -> Address:
    """Return what a URL says: redis://, rediss:// and unix://, and with +sentinel or +cluster after the first two, such as
    redis+sentinel://one:26379,two:26379/mymaster/0 and rediss+cluster://user:password@one:7000,two:7000.

    Raises InvalidInput, which does not repeat the URL, for one that makes no sense.
    """
    try:
        return _address(_parts(url.strip()))
    except _Unreadable as error:
        reason, hint = str(error), error.hint
    raise InvalidInput(f"REDIS_URL cannot be read: {reason}.", hint=hint)


def _parts(url: str) -> SplitResult:
    scheme, _, rest = url.partition("://")
    if scheme != "unix" and _HIDDEN_SIGN.search(rest):
        raise _Unreadable("an @ stands after a / ? or #", _ENCODED)
    try:
        return urlsplit(url)
    except ValueError:
        raise _Unreadable("it is no URL") from None


def _address(parts: SplitResult) -> Address:
    scheme, _, kind = parts.scheme.replace("-", "+").partition("+")
    options = _options(parts.query, tls=scheme == "rediss", kind=kind)
    credentials, _, names = parts.netloc.rpartition("@")
    user, _, password = (unquote(part) for part in credentials.partition(":"))
    user, password = options.pop("username", user) or None, options.pop("password", password) or None
    if parts.scheme == "unix":
        return Address("", (), False, user, password, "", _database(options.pop("db", "0"), ""), options, path=unquote(parts.path))
    if scheme not in ("redis", "rediss") or kind not in _PORTS:
        raise _Unreadable("it begins with no scheme Redis has")
    hosts = tuple(_host(name, _PORTS[kind]) for name in names.split(",") if name) or (("localhost", _PORTS[kind]),)
    if len(hosts) > 1 and not kind:
        raise _Unreadable("it names several servers, which are Sentinels or a cluster")
    path = [unquote(part) for part in parts.path.split("/") if part]
    service = path.pop(0) if kind == "sentinel" and path else ""
    if kind == "sentinel" and not service:
        raise _Unreadable("a Sentinel's address ends with the name of its service")
    named = options.pop("db", "0")
    database = _database(path.pop(0) if path else named, kind)
    if path:
        raise _Unreadable("its path has too many parts")
    return Address(kind, hosts, scheme == "rediss", user, password, service, database, options)


def _database(text: str, kind: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _Unreadable("the database is no number")
    if kind == "cluster" and int(text):
        raise _Unreadable("a cluster has no database but 0")
    return int(text)


def _host(name: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{name}")
        return parts.hostname or "localhost", parts.port or port
    except ValueError:
        raise _Unreadable("a host or its port makes no sense", _ENCODED) from None


# --- after the question mark -----------------------------------------------------------------------------------------


Check = Callable[[str], bool]


def _is_file(value: str) -> bool:
    return Path(value).is_file()


def _is_some(value: str) -> bool:
    return bool(value)


_TRUTHS = ("true", "yes", "1", "false", "no", "0")
_ALL: Mapping[str, Check] = {"db": lambda value: value.isdigit(), "username": _is_some, "password": _is_some}
_TLS: Mapping[str, Check] = {
    "ssl_ca_certs": _is_file,
    "ssl_certfile": _is_file,
    "ssl_keyfile": _is_file,
    "ssl_cert_reqs": lambda value: value in ("none", "optional", "required"),
    "ssl_check_hostname": lambda value: value.lower() in _TRUTHS,
}


def _options(query: str, *, tls: bool, kind: str) -> dict[str, str]:
    """Return the options of a URL, each once."""
    known: dict[str, Check] = {**_ALL, **(_TLS if tls else {}), **({"sentinel_password": _is_some} if kind == "sentinel" else {})}
    found = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    if not found.keys() <= known.keys():
        raise _Unreadable("it has an option that is not known here", f"Known here: {', '.join(known)}.")
    for name, value in found.items():
        if not known[name](value):
            wrong = "names no file that can be read" if known[name] is _is_file else "has no value that makes sense"
            raise _Unreadable(f"{name} {wrong}")
    return found
