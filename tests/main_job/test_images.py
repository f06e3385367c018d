"""Images from files and data: URLs, arriving at every provider in its own wire's form."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import pytest

from simulator import ThreadedSimulator
from tests.main_job.process import Parley
from tests.main_job.wires import PROVIDERS, asked, images, text_of


def png(colour: int) -> bytes:
    """One pixel of a shade of grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = chunk(b"IHDR", b"\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes((0, colour)))) + chunk(b"IEND", b"")


GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_images_reach_every_provider_from_a_file_and_from_a_data_url(
    parley: Parley, sim: ThreadedSimulator, workspace: Path, provider: str
) -> None:
    (workspace / "shade.png").write_bytes(png(7))
    url = "data:image/gif;base64," + base64.b64encode(GIF).decode()
    sim.rule(provider, "I see {images} images.")
    got = parley.chat("What do you see?", model=provider, images=["shade.png", url])
    assert got["content"] == "I see 2 images." and got["warnings"] == []
    (entry,) = asked(sim, provider)
    assert images(entry) == [("image/png", png(7)), ("image/gif", GIF)]
    assert "shade.png" in text_of(entry)


def test_an_image_of_an_earlier_turn_is_sent_once_to_the_next_provider(parley: Parley, sim: ThreadedSimulator, workspace: Path) -> None:
    (workspace / "first.png").write_bytes(png(1))
    thread = None
    for provider in PROVIDERS:
        named = ["first.png"] if provider in PROVIDERS[:2] else None
        thread = parley.chat("Look.", model=provider, images=named, continuation_id=thread)["continuation_id"]
        assert images(asked(sim, provider)[-1]) == [("image/png", png(1))]


def test_what_is_no_image_is_refused_and_named(parley: Parley, sim: ThreadedSimulator, workspace: Path) -> None:
    (workspace / "text.png").write_text("in truth a text")
    named = ["text.png", "data:image/png;base64,AAAA", "data:image/png;base64,%%%", "https://example.invalid/a.png", "gone.png"]
    got = parley.chat("Look.", model="openrouter", images=named)
    reasons = [warning["message"] for warning in got["warnings"]]
    assert {warning["code"] for warning in got["warnings"]} == {"file_refused"} and len(reasons) == len(named)
    assert "'text.png' is not a PNG" in reasons[0] and "'gone.png' does not exist" in reasons[4]
    assert not images(asked(sim, "openrouter")[0]) and "in truth" not in text_of(asked(sim, "openrouter")[0])
    assert "is a URL; nothing is fetched" in reasons[3]
