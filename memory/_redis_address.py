"""What a REDIS_URL says."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from conversation.errors import InvalidInput

_DEFAULT_PORT, _SENTINEL_PORT = 6379, 26379
_PORTS = {"": _DEFAULT_PORT, "sentinel": _SENTINEL_PORT, "cluster": _DEFAULT_PORT}


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


def address_of(url: str) -> Address:
    """Return what a URL says: redis://, rediss:// and unix://, and with +sentinel or +cluster after the first two, such as
    redis+sentinel://one:26379,two:26379/mymaster/0 and rediss+cluster://user:password@one:7000,two:7000.

    Raises InvalidInput, which does not repeat the URL, for one that makes no sense.
    """
    try:
        return _address(url.strip())
    except ValueError as error:
        reason = str(error)
    forms = "redis://host:6379/0, rediss://user:password@host, redis+sentinel://host:26379/service and redis+cluster://host:7000"
    raise InvalidInput(f"REDIS_URL cannot be read: {reason}.", hint=f"Forms: {forms}.")


def _address(url: str) -> Address:
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.replace("-", "+").partition("+")
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.scheme == "unix":
        return Address("", (), False, None, None, "", int(options.pop("db", "0")), options, path=unquote(parts.path))
    if scheme not in ("redis", "rediss") or kind not in _PORTS:
        raise ValueError("it begins with no scheme Redis has")
    credentials, _, names = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    hosts = tuple(_host(name, _PORTS[kind]) for name in names.split(",") if name)
    path = [unquote(part) for part in parts.path.split("/") if part]
    service = path.pop(0) if kind == "sentinel" and path else ""
    if kind == "sentinel" and not service:
        raise ValueError("a Sentinel's address ends with the name of its service")
    database = path[0] if path else options.pop("db", "0")
    if not database.isdigit():
        raise ValueError("the database is no number")
    return Address(
        kind,
        hosts or (("localhost", _PORTS[kind]),),
        scheme == "rediss",
        unquote(user) or None,
        unquote(password) or None,
        service,
        int(database),
        options,
    )


def _host(name: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{name}")
    return parts.hostname or "localhost", parts.port or port
