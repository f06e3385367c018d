"""The Redis servers of the tests are what they are taken for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import redis

from tests.redis_servers import server


def test_what_was_written_outlives_a_killed_server(tmp_path: Path) -> None:
    with server(tmp_path, appendfsync="always") as one:
        with redis.Redis.from_url(one.url, decode_responses=True) as client:
            client.set("said", "hello")
        one.kill()
        with redis.Redis.from_url(one.url) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        one.start()
        with redis.Redis.from_url(one.url, decode_responses=True) as client:
            assert client.get("said") == "hello"


def test_a_paused_server_is_silent_until_it_is_resumed(tmp_path: Path) -> None:
    with server(tmp_path) as one, redis.Redis.from_url(one.url, socket_timeout=0.2, retry=None) as client:
        client.set("said", "hello")
        one.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("said")
        one.resume()
        assert client.get("said") == b"hello"


def test_no_server_outlives_a_test_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), server(tmp_path) as one:
        one.pause()
        _ = 1 / 0
    with pytest.raises(ProcessLookupError):
        os.kill(one.pid, 0)
