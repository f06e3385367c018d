"""Google's token endpoint: assertions are checked in shape, time, audience, scope and signature before a token is issued."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from .identity import ACCOUNT, CLIENT_CREDENTIAL, CLIENT_ID, REFRESH_CREDENTIAL, public_key
from .jsonish import Json, as_dict, is_number
from .refusals import Refusal

_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GOOGLE = "https://oauth2.googleapis.com/token"  # the audience google-auth claims, whatever token_uri says
_LIFETIME = 3599
_SKEW = 300


class Tokens:
    """The bearer tokens this simulator issued."""

    def __init__(self) -> None:
        self._expiry: dict[str, float] = {}
        self.issued = 0

    def issue(self, seconds: float) -> str:
        """A new token, good for that many seconds."""
        token = "ya29.simulated-" + secrets.token_urlsafe(24)
        self._expiry[token] = time.monotonic() + seconds
        self.issued += 1
        return token

    def valid(self, token: str) -> bool:
        """True while the token has not expired."""
        return self._expiry.get(token, 0.0) > time.monotonic()

    def revoke(self) -> None:
        """No token issued so far is good any more."""
        self._expiry.clear()


def exchange(form: dict[str, str], audience: str, tokens: Tokens, lifetime: float | None = None) -> Json:
    """The token endpoint's answer. Raises Refusal as Google would."""
    grant = form.get("grant_type", "")
    if grant == _JWT_GRANT:
        _check_assertion(form.get("assertion", ""), audience)
    elif grant == "refresh_token":
        if form.get("client_id") != CLIENT_ID or form.get("client_secret") != CLIENT_CREDENTIAL:
            raise Refusal(401, "The OAuth client was not found.", code="invalid_client")
        if form.get("refresh_token") != REFRESH_CREDENTIAL:
            raise Refusal(400, "Token has been expired or revoked.")
    else:
        raise Refusal(400, f"Invalid grant_type: {grant}", code="unsupported_grant_type")
    seconds = _LIFETIME if lifetime is None else lifetime
    answer: Json = {"access_token": tokens.issue(seconds), "expires_in": int(seconds), "token_type": "Bearer"}
    return {**answer, "scope": _SCOPE} if grant == "refresh_token" else answer


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims(assertion: str) -> Json:
    """The claims of an assertion, unchecked; empty when they cannot be read."""
    parts = assertion.split(".")
    try:
        return as_dict(orjson.loads(_decode(parts[1]))) or {} if len(parts) == 3 else {}
    except (ValueError, binascii.Error):
        return {}


def _check_assertion(assertion: str, audience: str) -> None:
    parts = assertion.split(".")
    if len(parts) != 3 or not all(parts):
        raise Refusal(400, "Invalid JWT: it must have three parts.")
    try:
        header = as_dict(orjson.loads(_decode(parts[0]))) or {}
        claim = as_dict(orjson.loads(_decode(parts[1]))) or {}
        signature = _decode(parts[2])
    except (ValueError, binascii.Error) as error:
        raise Refusal(400, "Invalid JWT: it cannot be decoded.") from error
    if header.get("alg") != "RS256" or header.get("typ") != "JWT":
        raise Refusal(400, "Invalid JWT: alg must be RS256 and typ JWT.")
    if claim.get("iss") != ACCOUNT:
        raise Refusal(400, "Invalid grant: account not found")
    _check_signature(header.get("kid"), f"{parts[0]}.{parts[1]}".encode(), signature)
    if claim.get("aud") not in (audience, _GOOGLE):
        raise Refusal(400, f"Invalid JWT: Failed audience check. The right audience is {audience}")
    if _SCOPE not in str(claim.get("scope", "")).split():
        raise Refusal(400, "Invalid OAuth scope or ID token audience provided.", code="invalid_scope")
    _check_times(claim)


def _check_signature(kid: Any, signed: bytes, signature: bytes) -> None:
    try:
        public_key(str(kid)).verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError) as error:
        raise Refusal(400, "Invalid JWT Signature.") from error


def _check_times(claim: Json) -> None:
    issued, expires, now = claim.get("iat"), claim.get("exp"), time.time()
    if not is_number(issued) or not is_number(expires):
        raise Refusal(400, "Invalid JWT: iat and exp are required.")
    if issued > now + _SKEW or expires < now - _SKEW or not 0 < expires - issued <= 3600:
        raise Refusal(
            400,
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in "
            "the JWT claim.",
        )
