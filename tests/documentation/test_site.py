"""The site: built with every warning an error and without a network, whole, and fetching nothing when it is read."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from command_line import ROOT

pytest.importorskip("material", reason="needs the extra `docs`")
LOADED = re.compile(r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?([^"'\s>]+)|<link[^>]*\shref=["']?([^"'\s>]+)""")


def refused(*_: Any, **__: Any) -> None:
    """Stand in for a connection."""
    raise AssertionError("the build asks the network")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with patch.object(socket.socket, "connect", refused), patch.dict(os.environ, NO_MKDOCS_2_WARNING="1"):
        build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


@pytest.fixture(scope="module")
def texts(site: Path) -> dict[str, str]:
    """Return the text of every page."""
    return {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in sorted(site.rglob("*.html"))}


def test_every_page_is_built_and_in_the_navigation(texts: dict[str, str]) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    wanted = {page.with_suffix(".html").as_posix() for page in pages}
    assert wanted <= texts.keys()
    links = set(re.findall(r'<a href="([^"#]+)" class="md-nav__link"', texts["index.html"]))
    assert wanted | {"changes.html", "contributing.html", "benchmarks.html"} <= links


def test_nothing_is_fetched_from_elsewhere(texts: dict[str, str]) -> None:
    loaded = {address for text in texts.values() for pair in LOADED.findall(text) for address in pair if address}
    assert len(loaded) > 5
    assert [address for address in loaded if re.match(r"(?:[a-z]+:)?//", address)] == []


def test_markdown_that_mkdocs_reads_otherwise_is_told_apart(texts: dict[str, str]) -> None:
    """What GitHub shows as lists, tables and code does not end up as text."""
    assert "```" not in "".join(text for name, text in texts.items() if not name.startswith("source/"))
    for name, text in texts.items():
        assert not re.findall(r"<p>[^<]*\n\s*(?:[-*]|\d\.) .*|<p>\|.*", text), name


def test_the_readme_is_the_first_page(texts: dict[str, str]) -> None:
    assert "People fine-tune one model many times" in texts["index.html"]
    assert 'src="images/report.png"' in texts["index.html"]
    assert 'href="methods/ties.html"' in texts["index.html"]


def test_a_dead_link_fails_the_build(tmp_path: Path) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    (tmp_path / "index.md").write_text("# Here\n\n[nowhere](nowhere.md)\n")
    places = {"docs_dir": str(tmp_path), "site_dir": str(tmp_path.with_suffix(".site"))}
    with pytest.raises(Abort, match="1 warnings"):
        build(load_config(str(ROOT / "mkdocs.yml"), strict=True, hooks=[], nav=["index.md"], **places))


def test_source_files_are_shown(texts: dict[str, str]) -> None:
    assert "source/merge/methods/slerp.py.html" in texts
    assert "source/recipes.html" in texts
