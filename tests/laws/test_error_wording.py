"""How messages name things of which there may be many."""

from __future__ import annotations

import pytest

from merge.errors import some_of


@pytest.mark.parametrize(
    ("names", "most", "wanted"),
    [
        ([], 3, ""),
        (["a"], 1, "a"),
        (["a", "b", "c"], 3, "a, b, c"),
        ("abcd", 3, "a, b, c and 1 more"),
        ("abc", 1, "a and 2 more"),
    ],
)
def test_the_first_of_many_names_and_how_many_more_there_are(names, most, wanted):
    assert some_of(names, most) == wanted
    assert some_of(iter(names), most) == wanted
