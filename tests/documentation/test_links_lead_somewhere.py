"""Links within the checkout lead to files and headings that are there; others are whole addresses."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from command_line import ROOT
from documentation.links import Link, anchors, links, markdown_files


def fault(link: Link) -> str | None:
    """Return what is wrong with a link."""
    address = urlsplit(link.target)
    if address.scheme:
        whole = address.scheme == "https" and "." in address.netloc and " " not in link.target
        return None if whole else "not a whole https address"
    place = Path(os.path.normpath(link.page.parent / unquote(address.path))) if address.path else link.page
    if not place.is_relative_to(ROOT) or not place.exists():
        return "no such file in the checkout"
    if address.fragment and address.fragment not in anchors(place):
        return f"no such heading; there are {', '.join(sorted(anchors(place)))}"
    return None


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page(page: Path) -> None:
    assert [(link.where, link.target, wrong) for link in links(page) if (wrong := fault(link))] == []


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("other.md", "no such file"),
        ("here.md#nowhere", "no such heading"),
        ("#nowhere", "no such heading"),
        ("../../../etc/passwd", "no such file"),
        ("http://example.org", "not a whole https"),
        ("https://localhost/x", "not a whole https"),
        ("here.md#two-words", None),
        ("https://arxiv.org/abs/2306.01708", None),
    ],
)
def test_what_counts_as_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, wrong: str | None) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "here.md").write_text(f"# Two words\n\n[a link]({target}) and `[none](nowhere.md)`\n")
    (link,) = links(tmp_path / "here.md")
    assert (wrong or "") in str(fault(link))
    assert (fault(link) is None) == (wrong is None)
