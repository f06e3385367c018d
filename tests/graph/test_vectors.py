"""Vectors in memory."""

from __future__ import annotations

import pytest

pytest.importorskip("numpy")

from graph import lexical
from graph.vectors import Vectors


def test_the_nearest_of_many_are_found_in_their_groups() -> None:
    vectors = Vectors()
    for number in range(150):
        vectors.put("g" if number % 2 else "h", f"u{number}", lexical.vector(f"word{number} common"))
    near = vectors.nearest(["g", "nobody"], lexical.vector("word77 common"), 3, 0.1)
    assert near[0] == "u77" and len(near) == 3 and all(int(one[1:]) % 2 for one in near)
    assert vectors.nearest(["g"], lexical.vector("word77 common"), 3, 0.999) == ["u77"]


def test_a_vector_is_put_in_the_place_of_the_one_there_was() -> None:
    vectors = Vectors()
    vectors.put("g", "u", [3.0, 4.0])
    vectors.put("g", "u", [0.0, 2.0])
    assert vectors.get("g", "u") == [0.0, 1.0] and vectors.nearest(["g"], [0.0, 1.0], 5, 0.5) == ["u"]
    assert vectors.get("g", "other") is None and vectors.get("h", "u") is None


def test_vectors_of_another_dimension_are_near_nothing() -> None:
    vectors = Vectors()
    vectors.put("g", "u", [0.0, 0.0])
    assert vectors.get("g", "u") == [0.0, 0.0] and vectors.nearest(["g"], [1.0, 0.0, 0.0], 5, -1.0) == []
