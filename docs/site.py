"""What the site (mkdocs.yml) shows from outside docs/: README, changes, sources that pages link to, a page a method.

mkdocs calls the functions named `on_…` while it builds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
ORIGINS = {page: source for source, page in OUTSIDE.items()}
LINK = re.compile(r"""(?<=\]\()(?![a-z]+:|#)[^)\s]+|(?<=src=")(?![a-z]+:)[^"]+""")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}


def on_config(config: Any) -> Any:
    """Name the page of every method in the navigation."""
    pages = sorted(path.stem for path in (ROOT / "docs" / "methods").glob("*.md"))
    (methods,) = (entry["Methods"] for entry in config["nav"] if "Methods" in entry)
    methods[1:] = [f"methods/{name}.md" for name in pages]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that stand outside docs/, and a page for every file or folder of the source that one links to."""
    from mkdocs.structure.files import File

    for source, page in OUTSIDE.items():
        if (ROOT / source).exists():
            files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    pages = [file for file in files.documentation_pages() if not file.src_uri.startswith("source/")]
    for path in sorted({path for file in pages for path in _sources(file)}):
        files.append(File.generated(config, f"source/{path}.md", content=_shown(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links into the checkout into links within the site."""
    here = page.file.src_uri
    return LINK.sub(lambda link: _moved(here, link[0]), markdown)


def _sources(file: Any) -> Iterator[str]:
    """Yield the paths in the checkout, outside the pages of the site, that a page links to."""
    for link in LINK.findall(file.content_string):
        path = _target(file.src_uri, link.partition("#")[0])
        if not path.startswith("docs/") and path not in OUTSIDE and (ROOT / path).exists():
            yield path


def _target(page: str, link: str) -> str:
    """Return the path in the checkout that a page's link leads to."""
    return os.path.normpath(Path(ORIGINS.get(page, f"docs/{page}")).parent / link).replace(os.sep, "/")


def _moved(page: str, link: str) -> str:
    """Return a link as it must read on the site."""
    path, mark, anchor = link.partition("#")
    target = _target(page, path)
    if not (ROOT / target).exists():
        return link  # for mkdocs to complain of
    found = target.removeprefix("docs/") if target.startswith("docs/") else OUTSIDE.get(target, f"source/{target}.md")
    return os.path.relpath(found, Path(page).parent).replace(os.sep, "/") + mark + anchor


def _shown(path: str) -> str:
    """Return the page of a file, or of the files in a folder."""
    place = ROOT / path
    files = sorted(file for file in place.iterdir() if file.is_file()) if place.is_dir() else [place]
    lines = [f"# {path}", ""]
    for file in files:
        lines += [f"## {file.name}", ""] if place.is_dir() else []
        lines += [f"````{LANGUAGES.get(file.suffix, 'text')}", file.read_text("utf-8").rstrip(), "````", ""]
    return "\n".join(lines)
