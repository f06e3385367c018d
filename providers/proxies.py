"""Which proxy an address is asked through, as the usual variables say: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

Lower-case names win over upper-case ones, as in curl and in Python's urllib. This machine itself is always asked directly.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import Field, SecretStr

from conversation.messages import Frozen

_PORTS = {"https": 443, "http": 80}
VARIABLES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


class Proxy(Frozen):
    """One proxy. Its texts name the variable it came from, and neither its address nor its credentials."""

    variable: str
    address: str = Field(repr=False)
    """Scheme, host and port. No credentials."""
    authorization: SecretStr | None = None
    """The value of Proxy-Authorization."""
    secrets: tuple[SecretStr, ...] = ()
    """Its credentials in each form in which they might be repeated."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers the proxy wants of a request, or of a CONNECT."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization.get_secret_value()}

    @property
    def hint(self) -> str:
        """What to do when a request did not get through."""
        return f"Check the proxy in {self.variable}, or name the host in NO_PROXY to ask it directly."

    def refusal(self, status: int) -> tuple[str, str]:
        """Return message and hint for a status with which the proxy itself answered."""
        if status != 407:
            return f"the proxy of {self.variable} opened no tunnel (HTTP {status})", self.hint
        does = "asks for a" if self.authorization is None else "does not accept the"
        hint = f"Set {self.variable} to http://user:password@host:port, special characters written as %XX."
        return f"the proxy of {self.variable} {does} user name and password (HTTP 407)", hint


class Proxies(Frozen):
    """The proxies there are, by scheme of the address asked for, and the hosts that are asked without."""

    by_scheme: Mapping[str, Proxy] = Field(default_factory=dict)
    bypass: str = ""
    ignored: tuple[str, ...] = ()
    """One line for each setting that cannot be followed."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Proxies:
        """Return the proxies `env` names. Raises ValueError, naming the variable and never its value, for one that is no address."""
        values = {name: value.strip() for name in VARIABLES if (value := env.get(name, "")).strip()}
        found: dict[str, Proxy] = {}
        ignored: dict[str, None] = {}
        for scheme in _PORTS:
            for name in _candidates(scheme):
                if name not in values:
                    continue
                parts = _address(name, values[name])
                if parts.scheme in _PORTS:
                    found[scheme] = _proxy(name, parts)
                    break
                ignored[f"{name} is ignored: only http:// and https:// proxies are supported, not {parts.scheme[:20]}://"] = None
        return cls(by_scheme=found, bypass=values.get("no_proxy") or values.get("NO_PROXY", ""), ignored=tuple(ignored))

    def of(self, url: str) -> Proxy | None:
        """Return the proxy to ask `url` through, None to ask it directly."""
        parts = urlsplit(url)
        proxy = self.by_scheme.get(parts.scheme)
        host = (parts.hostname or "").rstrip(".")
        if proxy is None or _is_this_machine(host) or self._bypasses(host, parts.port or _PORTS[parts.scheme]):
            return None
        return proxy

    def secrets(self) -> tuple[str, ...]:
        """Return the proxies' credentials, for scrubbing."""
        return tuple({word.get_secret_value(): None for proxy in self.by_scheme.values() for word in proxy.secrets})

    def _bypasses(self, host: str, port: int) -> bool:
        """Tell whether NO_PROXY names a host: `*` alone is every host, else each entry is a host or the end of one, a port with it or not.

        As urllib.request reads it, except that a default port counts as named and an IPv6 address needs no brackets.
        """
        if self.bypass == "*":
            return True
        bracketed = f"[{host}]" if ":" in host else host
        forms = {host, bracketed, f"{bracketed}:{port}"}
        entries = [entry for part in self.bypass.lower().split(",") if (entry := part.strip().lstrip("."))]
        return any(form == entry or form.endswith(f".{entry}") for entry in entries for form in forms)


DIRECT = Proxies()
"""No proxy for anything."""


def _candidates(scheme: str) -> Iterator[str]:
    for name in (f"{scheme}_proxy", "all_proxy"):
        yield from (name, name.upper())


def _address(name: str, value: str) -> SplitResult:
    """Return a proxy's address, which may come without its scheme."""
    wrong = ValueError(
        f"{name} must be an address such as http://proxy.example:3128, the special characters of a user name and password written as %XX."
    )
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        _ = parts.port  # raises for a port that is not one
    except ValueError:
        raise wrong from None
    readable = value.isascii() and value.isprintable() and " " not in value
    if not readable or not parts.hostname or parts.port == 0 or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise wrong
    return parts


def _proxy(name: str, parts: SplitResult) -> Proxy:
    credentials, _, _ = parts.netloc.rpartition("@")
    host = parts.hostname or ""
    address = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{parts.port or _PORTS[parts.scheme]}"
    if not credentials:
        return Proxy(variable=name, address=address)
    user, _, password = credentials.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    # A user name alone is a token, and as secret as a password.
    plain = unquote(password or user)
    words = tuple(map(SecretStr, dict.fromkeys((token, password or user, plain, quote(plain, safe="")))))
    return Proxy(variable=name, address=address, authorization=SecretStr(f"Basic {token}"), secrets=words)


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
