"""Secrets and home paths do not get out."""

from __future__ import annotations

import pytest

from conversation.scrub import MASK, scrub

KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\nabc\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-REDACTED", "sk-or-v1-0123456789abcdef", "ghp_0123456789abcdefghij", "github_pat_0123456789_abcdef",
        "AIzaSyA0123456789abcdefghij", "ya29.a0AfH6SMBx0123", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln", KEY, KEY[:40],
    ],
)  # fmt: skip
def test_what_has_the_shape_of_a_key_is_masked(secret: str) -> None:
    assert scrub(f"before {secret}") == f"before {MASK}"


def test_a_bearer_token_of_any_shape_is_masked() -> None:
    assert scrub("Authorization: Bearer abcdefgh/123=, next") == f"Authorization: Bearer {MASK}, next"


def test_given_secrets_are_masked_the_longest_first() -> None:
    assert scrub("one hunter22-long two", ["hunter22", "hunter22-long", "one"]) == f"one {MASK} two"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/x", "~/x"),
        ("at /Users/ann: no", "at ~: no"),
        ("/" + "root/.config", "~/.config"),
        ("/rooted/x", "/rooted/x"),
        ("file:///home/ann/x", "file://~/x"),
        ("/var/home/ann/x", "~/x"),
        ("/srv/app/home/parley.toml:2: no", "/srv/app/home/parley.toml:2: no"),
        ("/srv/root/x", "/srv/root/x"),
        ("plain", "plain"),
    ],
)
def test_home_folders_are_a_tilde(text: str, shown: str) -> None:
    assert scrub(text) == shown


def test_a_secret_that_is_part_of_the_mask_leaves_the_mask_whole() -> None:
    assert scrub("it is secret, not abcdef", ["secret", "abcdef"]) == "it is [secret], not [secret]"


@pytest.mark.parametrize(
    ("home", "shown"),
    [("/data/ann", "at ~: and ~/x, not /data/annex"), ("/data/ann/", "at ~: and ~/x, not /data/annex"), ("/", None), ("", None)],
)
def test_the_users_own_home_is_a_tilde_wherever_it_stands(home: str, shown: str | None) -> None:
    text = "at /data/ann: and /data/ann/x, not /data/annex"
    assert scrub(text, home=home) == (shown or text)
