"""Made-up credentials: what a client needs to be let in, and the environment that says so.

None of these is a secret: they open nothing but a simulator on loopback.
"""

from __future__ import annotations

import base64
import functools
import json
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT = "sim-project"
LOCATION = "us-east5"
ACCOUNT = f"simulated@{PROJECT}.iam.gserviceaccount.com"
GITHUB_CREDENTIAL = "github_pat_simulated_on_loopback_only"
OPENROUTER_CREDENTIAL = "sk-or-v1-simulated-on-loopback-only"
REFRESH_CREDENTIAL = "1//simulated-refresh-on-loopback-only"
CLIENT_ID = "simulated.apps.googleusercontent.com"
CLIENT_CREDENTIAL = "simulated-client-on-loopback-only"


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    """A fresh key, once a process: making one costs a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_id(public: rsa.RSAPublicKey) -> str:
    """The key's id. It holds the public key itself, so that any simulator, also a restarted one, can check a signature with it."""
    numbers = public.public_numbers()
    return base64.urlsafe_b64encode(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)).rstrip(b"=").decode()


def public_key(kid: str) -> rsa.RSAPublicKey:
    """The public key that a key id holds. Raises ValueError for anything else."""
    modulus = int.from_bytes(base64.urlsafe_b64decode(kid + "=" * (-len(kid) % 4)))
    return rsa.RSAPublicNumbers(65537, modulus).public_key()


def write_service_account(path: Path | str, token_uri: str) -> Path:
    """A service-account file, mode 0600, whose tokens come from `token_uri`."""
    key = _key()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return _write(path, {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": key_id(key.public_key()),
        "private_key": pem.decode(),
        "client_email": ACCOUNT,
        "client_id": "100000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    })


def write_authorized_user(path: Path | str, token_uri: str) -> Path:
    """An authorized-user file (what `gcloud auth application-default login` writes), mode 0600.

    google-auth ignores its token_uri; a client that wants the simulator sets the endpoint itself.
    """
    return _write(path, {
        "type": "authorized_user",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_CREDENTIAL,
        "refresh_token": REFRESH_CREDENTIAL,
        "quota_project_id": PROJECT,
        "token_uri": token_uri,
    })


def _write(path: Path | str, content: dict[str, str]) -> Path:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
    return target


def environment(base_url: str, folder: Path | str) -> dict[str, str]:
    """The variables that point all four providers at the simulator on `base_url`; writes the service-account file into `folder`."""
    base = base_url.rstrip("/")
    account = write_service_account(Path(folder) / "simulated-service-account.json", f"{base}/token")
    return {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "VERTEX_AI_LOCATION": LOCATION,
        "GOOGLE_APPLICATION_CREDENTIALS": str(account),
        "VERTEX_AI_ENDPOINT": base,
        "GITHUB_TOKEN": GITHUB_CREDENTIAL,
        "GITHUB_MODELS_ENDPOINT": f"{base}/inference",
        "OPENROUTER_API_KEY": OPENROUTER_CREDENTIAL,
        "OPENROUTER_ENDPOINT": f"{base}/api/v1",
    }
