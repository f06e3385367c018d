"""Where Google credentials are found, and whether the file can be used: no network, nothing imported from google.auth.

Texts name the variable and the file's name. They never hold the folder (it names the user) or anything the file contains.
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import Field

from conversation.messages import Frozen

DEFAULT_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address, not a secret
DEFAULT_UNIVERSE = "googleapis.com"
VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
LOGIN = "Run `gcloud auth application-default login`"
MAX_BYTES = 64 * 1024  # real ones have 2 to 3 KB

Kind = Literal["service_account", "authorized_user"]

_REQUIRED: Mapping[Kind, tuple[str, ...]] = {
    "service_account": ("client_email", "private_key"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
}
_REFUSED = {
    "external_account": "describes workload identity federation, which Parley does not speak",
    "external_account_authorized_user": "describes workforce identity federation, which Parley does not speak",
    "impersonated_service_account": "describes an impersonated service account, which Parley does not speak",
    "gdch_service_account": "describes a Distributed Cloud account, which Parley does not speak",
}
_USE_INSTEAD = f"Use a service account's JSON key in {VARIABLE}, or {LOGIN[0].lower()}{LOGIN[1:]}."


class CredentialsFile(Frozen):
    """A credentials file that was found. `problem` says why it cannot be used, and `kind` is None then."""

    variable: str
    """The environment variable that led to it."""
    path: Path = Field(repr=False)
    kind: Kind | None = None
    project_id: str | None = None
    """The project a service account belongs to, or an authorized user's quota project."""
    quota_project_id: str | None = None
    """Belongs in the header x-goog-user-project of every Vertex request."""
    universe_domain: str = DEFAULT_UNIVERSE
    problem: str | None = None
    hint: str = ""


class FileProblem(Exception):
    """The file cannot be used; `problem` and `hint` may be shown to anyone."""

    def __init__(self, problem: str, hint: str = _USE_INSTEAD) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def find_credentials(env: Mapping[str, str]) -> CredentialsFile | None:
    """Return the credentials `env` leads to, with what is wrong with them, or None when there are none.

    In order: GOOGLE_APPLICATION_CREDENTIALS, then gcloud's application default credentials under CLOUDSDK_CONFIG, else
    under HOME. A metadata server is never asked: probing for one takes seconds where there is none.
    """
    value = env.get(VARIABLE, "").strip()
    if value:
        if value.startswith("{") or len(value) > 1024 or not value.isprintable():
            problem = f"{VARIABLE} holds something other than the path of a file"
            return CredentialsFile(variable=VARIABLE, path=Path(), problem=problem, hint="Save the JSON key to a file and set its path.")
        return _described(VARIABLE, _expanded(value, env))
    for variable, below in (("CLOUDSDK_CONFIG", ""), ("HOME", ".config/gcloud")):
        if folder := env.get(variable, "").strip():
            path = _expanded(folder, env) / below / "application_default_credentials.json"
            return _described(variable, path) if os.path.exists(path) else None  # Path.exists raises where a folder is closed
    return None


def read_credentials(file: CredentialsFile) -> dict[str, Any]:
    """Return the file's JSON object, checked and with `token_uri` filled in. Raises FileProblem."""
    if file.path == Path():
        raise FileProblem(file.problem or f"{file.variable} names no file", file.hint)
    name = _shown(file.variable, file.path)
    info = _parsed(name, _content(name, file.path))
    kind = _kind(name, info)
    missing = [key for key in _REQUIRED[kind] if not isinstance(info.get(key), str) or not info[key].strip()]
    if missing:
        raise FileProblem(f"{name} lacks {', '.join(missing)}")
    if kind == "service_account" and "PRIVATE KEY-----" not in info["private_key"]:
        raise FileProblem(f"{name} has a private_key that is not in PEM form", "Create a new JSON key for the service account.")
    if kind == "authorized_user" and (info.get("universe_domain") or DEFAULT_UNIVERSE) != DEFAULT_UNIVERSE:
        raise FileProblem(f"{name} is a user's sign-in outside {DEFAULT_UNIVERSE}, which Google refreshes for service accounts only")
    info["token_uri"] = info.get("token_uri") or DEFAULT_TOKEN_URI
    if not _safe_address(info["token_uri"]):
        raise FileProblem(f"{name} has a token_uri that is neither https nor on this machine", "Secrets are sent there: correct it.")
    return info


def _described(variable: str, path: Path) -> CredentialsFile:
    found = CredentialsFile(variable=variable, path=path)
    try:
        info = read_credentials(found)
    except FileProblem as error:
        return found.model_copy(update={"problem": error.problem, "hint": error.hint})
    quota = _text(info, "quota_project_id")
    described = {
        "kind": info["type"],
        "project_id": _text(info, "project_id") or quota,
        "quota_project_id": quota,
        "universe_domain": _text(info, "universe_domain") or DEFAULT_UNIVERSE,
    }
    return found.model_copy(update=described)


def _text(info: Mapping[str, Any], key: str) -> str | None:
    value = info.get(key)
    return value.strip() or None if isinstance(value, str) else None


def _expanded(value: str, env: Mapping[str, str]) -> Path:
    """Return the path with a leading ~/ resolved, since values from env files never met a shell."""
    if value.startswith("~/") and env.get("HOME"):
        return Path(env["HOME"]) / value[2:]
    return Path(value)


def _shown(variable: str, path: Path) -> str:
    """Return how texts name the file. A name that does not look like one may be a key set by mistake: it stays out."""
    if variable != VARIABLE:
        return f"gcloud's {path.name} (from {variable})"
    return f"{path.name} (from {variable})" if path.suffix == ".json" and len(path.name) <= 100 else f"the file {variable} names"


def _content(name: str, path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe or device could block for ever
            raise FileProblem(f"{name} is not a regular file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise FileProblem(f"{name} does not exist", f"Correct {VARIABLE}, or unset it to use gcloud's sign-in.") from None
    except OSError as error:
        hint = "Make the file and its folder readable for the user who runs Parley."
        raise FileProblem(f"{name} cannot be read ({type(error).__name__})", hint) from None
    if len(raw) > MAX_BYTES:
        raise FileProblem(f"{name} is larger than any credentials file")
    return raw


def _parsed(name: str, raw: bytes) -> dict[str, Any]:
    try:
        info: object = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # from None: the decoder's error holds the text
        raise FileProblem(f"{name} is not JSON") from None
    if not isinstance(info, dict):
        raise FileProblem(f"{name} does not hold a JSON object")
    return cast(dict[str, Any], info)


def _kind(name: str, info: Mapping[str, Any]) -> Kind:
    kind = info.get("type")
    if kind == "service_account" or kind == "authorized_user":
        return kind
    if "installed" in info or "web" in info:
        raise FileProblem(f"{name} is an OAuth client's file, not credentials")
    if isinstance(kind, str) and kind in _REFUSED:
        raise FileProblem(f"{name} {_REFUSED[kind]}")
    raise FileProblem(f"{name} does not say that it is a service_account or an authorized_user")


def _safe_address(uri: object) -> bool:
    """Tell whether secrets may be sent to `uri`: over TLS, or without leaving this machine."""
    if not isinstance(uri, str) or not uri.isprintable() or " " in uri:
        return False
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _loopback(host))


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
