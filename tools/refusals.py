"""Which files never go to a model, told by their names and by what is in them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import PurePath

_KEY_NAMES = (
    ".env*", "*.env", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
    "*.ppk", "*.kdbx", "*.gpg", ".netrc", "_netrc", ".pypirc", ".pgpass", ".htpasswd", ".git-credentials", "*credentials*.json",
    "client_secret*.json", "service-account*.json", "service_account*.json", "secrets.json", "secrets.toml", "secrets.y*ml",
    "*.tfstate", "*.tfvars",
)  # fmt: skip
_KEY_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", "gcloud"})
_SYSTEM_FOLDERS = frozenset({"proc", "sys", "dev"})

# The marker alone stands in many a source file; a key follows it with its base64.
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?=.{0,200}?[A-Za-z0-9+/=]{32})", re.DOTALL)
_GOOGLE_CREDENTIALS = re.compile(rb'"type"\s*:\s*"(?:service_account|authorized_user|external_account)"')
_NPM_TOKEN = re.compile(rb"_(?:auth|authToken|password)\s*=\s*(?!\$\{)\S")

_IMAGES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_BOMS: tuple[tuple[bytes, str], ...] = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


class Refused(Exception):
    """A file does not go to the model; the text says why, and says nothing of what is in it."""


def check_name(path: PurePath) -> None:
    """Raise Refused when a path is that of a key, a credential, Git's own data or, being absolute, the system's.

    Letter case does not count: on macOS .ENV is .env.
    """
    parts = [part.lower() for part in path.parts]
    if path.is_absolute() and _SYSTEM_FOLDERS.intersection(parts[1:2]):
        raise Refused("belongs to the system")
    if ".git" in parts:
        raise Refused("is part of Git's own data")
    if _KEY_FOLDERS.intersection(parts[:-1]):
        raise Refused("is in a folder of keys or credentials")
    if any(fnmatchcase(path.name.lower(), pattern) for pattern in _KEY_NAMES):
        raise Refused("looks like keys or credentials")


def check_content(name: str, data: bytes) -> None:
    """Raise Refused when the content is a private key or credentials, whatever the file is called."""
    if _PRIVATE_KEY.search(data):
        raise Refused("holds a private key")
    if _GOOGLE_CREDENTIALS.search(data) and (b'"private_key"' in data or b'"refresh_token"' in data or b'"credential_source"' in data):
        raise Refused("holds Google credentials")
    if name.lower() == ".npmrc" and _NPM_TOKEN.search(data):
        raise Refused("holds an npm token")


def image_type(data: bytes) -> str | None:
    """Return the media type that the first bytes stand for, None when it is no image that models take."""
    return next((media_type for magic, media_type in _IMAGES if magic.match(data)), None)


def decode(data: bytes) -> str:
    """Return the text: UTF-8, or UTF-16 and UTF-32 that say so by a byte order mark. Raises Refused for all else."""
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    if encoding == "utf-8" and image_type(data):
        raise Refused("is an image; name it in images")
    if encoding.startswith("utf-8") and b"\x00" in data:
        raise Refused("is a binary file")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise Refused("is not UTF-8 text") from None
    if "\x00" in text:
        raise Refused("is a binary file")
    return text
