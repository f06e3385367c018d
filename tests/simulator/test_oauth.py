"""The simulated token endpoint believes an assertion only when everything about it is right."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth import exceptions
from google.auth.transport import requests as transport
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from simulator import Simulator, write_authorized_user, write_service_account
from simulator.identity import key_id
from tests.simulator.support import Client, Reply

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def encode(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Signer:
    """Makes assertions from a service-account file, wrong ones too."""

    def __init__(self, path: Path) -> None:
        self.account = json.loads(path.read_text())
        key = serialization.load_pem_private_key(self.account["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self.key = key

    def assertion(self, header: dict[str, Any] | None = None, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        now = int(time.time())
        good = {"iss": self.account["client_email"], "aud": self.account["token_uri"], "scope": SCOPE, "iat": now, "exp": now + 3600}
        head = {"alg": "RS256", "typ": "JWT", "kid": self.account["private_key_id"], **(header or {})}
        signed = f"{encode(head)}.{encode({**good, **claims})}"
        return f"{signed}.{encode((key or self.key).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture
def signer(client: Client) -> Signer:
    return Signer(Path(client.env["GOOGLE_APPLICATION_CREDENTIALS"]))


async def post(client: Client, **form: str) -> Reply:
    return await client.send("/token", urlencode(form), None, Content_Type="application/x-www-form-urlencoded")


async def test_a_right_assertion_gets_a_token_that_vertex_takes(client: Client, signer: Signer) -> None:
    reply = await post(client, grant_type=GRANT, assertion=signer.assertion())
    assert reply.status == 200
    assert (reply.json["token_type"], reply.json["expires_in"]) == ("Bearer", 3599)
    client.token = reply.json["access_token"]
    assert (await client.claude()).status == 200


async def test_the_log_shows_the_claims_and_not_the_assertion(client: Client, signer: Signer) -> None:
    assertion = signer.assertion()
    await post(client, grant_type=GRANT, assertion=assertion)
    entry = client.sim.log[-1]
    assert entry["body"]["claims"]["scope"] == SCOPE
    assert entry["body"]["assertion"] == "<credential>"
    assert assertion not in json.dumps(entry)


async def test_googles_own_audience_is_right_too(client: Client, signer: Signer) -> None:
    reply = await post(client, grant_type=GRANT, assertion=signer.assertion(aud="https://oauth2.googleapis.com/token"))
    assert reply.status == 200


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "someone@else"}, "account not found"),
        ({"aud": "https://example.invalid/token"}, "Failed audience check"),
        ({"scope": "email"}, "Invalid OAuth scope"),
        ({"exp": 1}, "must be a short-lived token"),
        ({"exp": int(time.time()) + 90_000}, "must be a short-lived token"),
        ({"iat": int(time.time()) + 90_000, "exp": int(time.time()) + 91_000}, "must be a short-lived token"),
        ({"iat": None}, "iat and exp are required"),
    ],
)
async def test_a_wrong_claim_is_refused(client: Client, signer: Signer, claims: dict[str, Any], words: str) -> None:
    reply = await post(client, grant_type=GRANT, assertion=signer.assertion(**claims))
    assert reply.status == 400
    assert words in reply.json["error_description"]
    assert reply.json["error"] in ("invalid_grant", "invalid_scope")


async def test_a_wrong_signature_shape_or_grant_is_refused(client: Client, signer: Signer) -> None:
    other = await asyncio.to_thread(rsa.generate_private_key, public_exponent=65537, key_size=2048)
    good = signer.assertion()
    wrong = {
        "Invalid JWT Signature.": [
            signer.assertion(key=other), signer.assertion({"kid": key_id(other.public_key())}), signer.assertion({"kid": "x"}),
        ],
        "three parts": [good.rpartition(".")[0], "a..c", ""],
        "cannot be decoded": ["a.b.c", "!.!.!"],
        "alg must be RS256": [signer.assertion({"alg": "none"})],
    }
    for words, assertions in wrong.items():
        for assertion in assertions:
            reply = await post(client, grant_type=GRANT, assertion=assertion)
            assert (reply.status, words in reply.json["error_description"]) == (400, True), assertion
    assert (await post(client, grant_type="password")).json["error"] == "unsupported_grant_type"
    assert (await post(client)).status == 400


async def test_an_authorized_user_gets_a_token(client: Client, sim: Simulator, tmp_path: Path) -> None:
    path = write_authorized_user(tmp_path / "adc.json", f"{sim.base_url}/token")
    found = user_credentials.Credentials.from_authorized_user_file(str(path)).with_token_uri(f"{sim.base_url}/token")
    with requests.Session() as session:
        await asyncio.to_thread(found.refresh, transport.Request(session))
    client.token = found.token
    assert (await client.gemini()).status == 200
    assert sim.requests("google_token")[-1]["body"]["refresh_token"] == "<credential>"
    body = json.loads(path.read_text())
    form = {"grant_type": "refresh_token", **{key: body[key] for key in ("client_id", "client_secret", "refresh_token")}}
    assert (await post(client, **{**form, "client_secret": "x"})).json["error"] == "invalid_client"
    assert (await post(client, **{**form, "refresh_token": "x"})).json["error"] == "invalid_grant"


async def test_tokens_may_be_short_lived(client: Client, sim: Simulator, signer: Signer) -> None:
    sim.fault("google_token", "expires_in", seconds=0)
    reply = await post(client, grant_type=GRANT, assertion=signer.assertion())
    assert reply.json["expires_in"] == 0
    client.token = reply.json["access_token"]
    assert (await client.claude()).status == 401


async def test_the_endpoint_may_be_slow_or_fail(client: Client, sim: Simulator, signer: Signer) -> None:
    sim.fault("google_token", "delay", seconds=0.1)
    began = time.monotonic()
    assert (await post(client, grant_type=GRANT, assertion=signer.assertion())).status == 200
    assert time.monotonic() - began >= 0.1
    sim.fault("google_token", "status", status=503)
    failed = await post(client, grant_type=GRANT, assertion=signer.assertion())
    assert (failed.status, failed.json["error"]) == (503, "internal_failure")


async def test_a_files_key_must_be_the_simulators(sim: Simulator, tmp_path: Path) -> None:
    path = write_service_account(tmp_path / "a.json", f"{sim.base_url}/token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = json.loads(path.read_text())
    other = await asyncio.to_thread(rsa.generate_private_key, public_exponent=65537, key_size=2048)
    content["private_key"] = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    found = service_account.Credentials.from_service_account_info(content, scopes=[SCOPE])
    with requests.Session() as session, pytest.raises(exceptions.RefreshError, match=r"Invalid JWT Signature"):
        await asyncio.to_thread(found.refresh, transport.Request(session))
