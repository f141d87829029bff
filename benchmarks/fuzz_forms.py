"""Forms of files: which part of one is changed, and how that part becomes a tree and bytes again."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

RAW, TWIN = "@raw@", "@twin@"  # in a tree: what is written as it is, and a key that is written a second time
_RAW = re.compile(rb'"@raw@([0-9a-f]*)"')


@dataclass(frozen=True)
class Form:
    """How a file is taken apart.

    Attributes:
        name: What it is called.
        unwrap: Returns the part of a whole file that is changed.
        wrap: Returns a whole file with another part in its place.
        parse: Returns the part as a tree of lists and mappings; None where it is none.
        render: Returns the bytes of a tree.
        is_yaml: Whether values of YAML belong in the tree, too.
    """

    name: str
    unwrap: Callable[[bytes], bytes] = bytes
    wrap: Callable[[bytes, bytes], bytes] = lambda whole, part: part
    parse: Callable[[bytes], Any] | None = None
    render: Callable[[Any], bytes] = bytes
    is_yaml: bool = False


def raw(value: bytes) -> str:
    """Return what stands in a tree for bytes that are written as they are."""
    return RAW + value.hex()


def render_json(tree: Any) -> bytes:
    """Return the bytes of a tree, also those of one with marks in it."""
    text = json.dumps(tree).replace(f'"{TWIN}', '"').encode()
    return _RAW.sub(lambda found: bytes.fromhex(found[1].decode()), text)


def _parse_yaml(part: bytes) -> Any:
    from ruamel.yaml import YAML

    return json.loads(json.dumps(YAML(typ="safe").load(part), default=str))


def _parse_lines(part: bytes) -> Any:
    return [json.loads(line) for line in part.splitlines() if line.strip()]


def _render_lines(tree: Any) -> bytes:
    return b"".join(render_json(row) + b"\n" for row in tree) if isinstance(tree, list) else render_json(tree)


def _header(whole: bytes) -> bytes:
    return whole[8 : 8 + int.from_bytes(whole[:8], "little")]


def _with_header(whole: bytes, part: bytes) -> bytes:
    return len(part).to_bytes(8, "little") + part + whole[8 + int.from_bytes(whole[:8], "little") :]


def _entry(whole: bytes, *, key: str) -> bytes:
    return str(json.loads(_header(whole))["__metadata__"].get(key, "")).encode()


def _with_entry(whole: bytes, part: bytes, *, key: str) -> bytes:
    header = json.loads(_header(whole))
    header["__metadata__"][key] = part.decode("utf-8", "replace")
    return _with_header(whole, json.dumps(header).encode())


def _member(whole: bytes, *, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return archive.read(next(one for one in archive.namelist() if one.endswith(name)))


def _with_member(whole: bytes, part: bytes, *, name: str) -> bytes:
    built = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(built, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, part if entry.filename.endswith(name) else old.read(entry))
    return built.getvalue()


def _block(whole: bytes) -> bytes:
    found = re.search(rb"^```yaml\n(.*?)^```", whole, re.MULTILINE | re.DOTALL)
    return found[1] if found else b""


def _with_block(whole: bytes, part: bytes) -> bytes:
    return whole.replace(_block(whole), part + b"\n", 1)


BYTES = Form("bytes")
JSON = Form("JSON", parse=json.loads, render=render_json)
LINES = Form("JSON lines", parse=_parse_lines, render=_render_lines)
YAML = Form("YAML", parse=_parse_yaml, render=render_json, is_yaml=True)
HEADER = Form("header", _header, _with_header, json.loads, render_json)
CARD = Form("card", _block, _with_block, _parse_yaml, render_json, is_yaml=True)


def metadata(key: str) -> Form:
    """Return the form of a safetensors file with JSON under a key of its metadata."""
    return Form("metadata", partial(_entry, key=key), partial(_with_entry, key=key), json.loads, render_json)


def member(name: str) -> Form:
    """Return the form of a zip archive one record of which is changed."""
    return Form("archive", partial(_member, name=name), partial(_with_member, name=name))
