"""The Redis servers of the tests are what they are taken for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from tests.redis_servers import acl_server, server, tls_server


def at(url: str, **options: object) -> redis.Redis:
    """A client that tries nothing twice."""
    return redis.Redis.from_url(url, decode_responses=True, retry=None, **options)


def test_what_was_written_outlives_a_killed_server(tmp_path: Path) -> None:
    with server(tmp_path, appendfsync="always") as one:
        with at(one.url) as client:
            client.set("said", "hello")
        one.kill()
        with at(one.url) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        one.start()
        with at(one.url) as client:
            assert client.get("said") == "hello"


def test_a_paused_server_is_silent_until_it_is_resumed(tmp_path: Path) -> None:
    with server(tmp_path) as one, at(one.url, socket_timeout=0.2) as client:
        client.set("said", "hello")
        one.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("said")
        one.resume()
        assert client.get("said") == "hello"


def test_no_server_outlives_a_test_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), server(tmp_path) as one:
        one.pause()
        _ = 1 / 0
    with pytest.raises(ProcessLookupError):
        os.kill(one.pid, 0)


def test_tls_is_spoken_and_nothing_else(tmp_path: Path) -> None:
    with tls_server(tmp_path) as one:
        with at(one.url) as client:
            client.set("said", "hello")
            assert client.get("said") == "hello"
        with at(f"redis://127.0.0.1:{one.port}") as plain, pytest.raises(redis.ConnectionError):
            plain.ping()


def test_a_server_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with tls_server(tmp_path) as one:
        stranger = f"rediss://127.0.0.1:{one.port}/0"
        with at(stranger) as client, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()


def test_a_limited_user_reaches_its_own_keys_alone(tmp_path: Path) -> None:
    with acl_server(tmp_path) as one:
        with at(one.url) as client:
            client.set("parley:said", "hello")
            assert client.get("parley:said") == "hello"
            with pytest.raises(NoPermissionError):
                client.set("said", "hello")
            with pytest.raises(NoPermissionError):
                client.flushall()
        with at(f"redis://127.0.0.1:{one.port}") as nobody, pytest.raises(redis.AuthenticationError):
            nobody.get("parley:said")
        with one.client() as keeper:
            assert keeper.get("parley:said") == "hello"
