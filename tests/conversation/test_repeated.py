"""Lists that come again: what is made of them once, and how they are written."""

from __future__ import annotations

import enum
from typing import Any

from conversation.json_text import parsed, written
from conversation.repeated import Repeated


def test_what_is_made_is_made_once_for_each_name() -> None:
    calls: list[str] = []

    def make(name: str) -> str:
        calls.append(name)
        return name

    again = Repeated([1])
    assert [again.once(name, lambda name=name: make(name)) for name in ("a", "b", "a")] == ["a", "b", "a"]
    assert calls == ["a", "b"]


def test_it_is_written_as_a_list_wherever_it_stands() -> None:
    inner: list[Any] = [{"name": "\u4e16", "n": 1.5}, None]
    again = Repeated(inner)
    for _ in range(2):
        assert parsed(written({"a": [again], "b": again})) == {"a": [inner], "b": inner}
    assert written(again) == written(inner)


def test_other_classes_made_from_those_of_json_are_written_as_these() -> None:
    class Word(str):
        __slots__ = ()

    class Kind(enum.StrEnum):
        ONE = "one"

    class Number(int):
        pass

    class Fields(dict[str, Any]):
        pass

    assert written(Fields(a=Word("x"), b=Number(3), c=Kind.ONE, d=True)) == b'{"a":"x","b":3,"c":"one","d":true}'
