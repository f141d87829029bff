"""Headers damaged at random: refused in words, or read as the format's own library reads them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from checkpoint_files import entry
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from merge.checkpoints.header import LENGTH_BYTES, Header, parse_header, render_entries, render_header
from merge.checkpoints.header_file import read_header
from merge.errors import MergeError

SETTINGS = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
DATA = bytes(range(48))
HEADER = {
    "__metadata__": {"format": "pt", "ä": "ö"},
    "w": entry("F32", [2, 3], 0, 24),
    "v": entry("BF16", [4], 24, 32),
    "none": entry("I64", [0, 5], 32, 32),
    "one": entry("I64", [], 32, 40),
    "b": entry("BOOL", [8], 40, 48),
}
TEXT = json.dumps(HEADER, ensure_ascii=False).encode()


def ours(raw: bytes, data: bytes) -> Header | None:
    try:
        return parse_header(raw, file_size=LENGTH_BYTES + len(raw) + len(data), where="file")
    except MergeError as error:
        assert "file" in str(error)  # noqa: PT017 - both outcomes are allowed
        return None


def theirs(raw: bytes, data: bytes) -> dict | None:
    try:
        return dict(deserialize(len(raw).to_bytes(8, "little") + raw + data))
    except (SafetensorError, ValueError, OverflowError):
        return None


def assert_consistent(raw: bytes, data: bytes = DATA) -> None:
    """We may be stricter than the library, never laxer, and never see other bytes."""
    found, wanted = ours(raw, data), theirs(raw, data)
    if found is None:
        return
    assert wanted is not None, raw
    assert {tensor.name for tensor in found.tensors} == set(wanted)
    for tensor in found.tensors:
        twin = wanted[tensor.name]
        start = tensor.start - LENGTH_BYTES - len(raw)
        assert (tensor.dtype, list(tensor.shape)) == (str(twin["dtype"]), list(twin["shape"]))
        assert data[start : start + tensor.nbytes] == bytes(twin["data"])


def test_the_header_itself_is_sound():
    found = ours(TEXT, DATA)
    assert found is not None
    assert [tensor.name for tensor in found.tensors] == ["w", "v", "none", "one", "b"]
    assert found.metadata == HEADER["__metadata__"]
    assert_consistent(TEXT)


@SETTINGS
@given(
    st.integers(0, len(TEXT)),
    st.integers(0, 6),
    st.binary(max_size=4) | st.sampled_from([b"0", b"-", b"[", b"{", b"e9", b'"', b"\\u0077", b"true"]),
)
def test_bytes_replaced(start, length, inserted):
    assert_consistent(TEXT[:start] + inserted + TEXT[start + length :])


SIZES = (
    st.integers(-3, 9)
    | st.sampled_from([2**31, 2**32, 2**53, 2**62, 2**63, 2**64, 10**30])
    | st.floats()
    | st.booleans()
    | st.none()
    | st.text(max_size=2)
)
DTYPES = st.sampled_from(["F32", "BF16", "F4", "F6_E2M3", "C64", "I64", "U8", "bf16", "F99", ""]) | SIZES
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": DTYPES,
        "shape": st.lists(SIZES, max_size=3) | SIZES,
        "data_offsets": st.lists(SIZES, min_size=1, max_size=3) | SIZES,
    },
    optional={"more": SIZES},
)


@SETTINGS
@given(
    st.dictionaries(
        st.sampled_from(["w", "v", "x", "__metadata__", ""]),
        ENTRIES | st.sampled_from(list(HEADER.values())) | SIZES,
        max_size=4,
    )
)
def test_entries_of_any_kind(header):
    assert_consistent(json.dumps(HEADER | header).encode())
    assert_consistent(json.dumps(header).encode())


def sound(draw) -> tuple[dict, bytes]:
    header, position = {}, 0
    for name in draw(
        st.lists(st.text(max_size=6).filter(lambda name: name != "__metadata__"), unique=True, max_size=6)
    ):
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        dtype, width = draw(st.sampled_from([("F32", 4), ("BF16", 2), ("U8", 1), ("F64", 8)]))
        size = width * int(torch.tensor(shape).prod()) if shape else width
        header[name] = entry(dtype, shape, position, position + size)
        position += size
    return header, bytes(n % 251 for n in range(position))


@SETTINGS
@given(st.data())
def test_sound_headers_are_accepted_in_any_order_of_their_keys(data):
    header, raw_data = sound(data.draw)
    turned = dict(data.draw(st.permutations(list(header.items()))))
    ascii_only = data.draw(st.booleans())
    raw = json.dumps(turned, ensure_ascii=ascii_only).encode() + b" " * data.draw(st.integers(0, 9))
    found = ours(raw, raw_data)
    assert found is not None
    assert {tensor.name for tensor in found.tensors} == set(header)
    assert_consistent(raw, raw_data)


METADATA = st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=4)


@SETTINGS
@given(st.data(), METADATA)
@example(None, {"line\u2028": '\x00\x1f\x7f"'})
def test_what_we_write_both_read(data, metadata):
    header, raw_data = sound(data.draw) if data is not None else ({}, b"")
    slots = [(name, found["dtype"], tuple(found["shape"]), *found["data_offsets"]) for name, found in header.items()]
    whole = render_header(render_entries(slots), metadata)
    assert len(whole) % 4096 == 0
    found = ours(whole[8:], raw_data)
    assert found is not None
    assert found.metadata == metadata
    assert_consistent(whole[8:], raw_data)


@SETTINGS
@given(st.binary(max_size=300))
@example((2).to_bytes(8, "little") + b"{}")
@example((1).to_bytes(8, "little") + b"{")
@example(b"\x80\x04\x95\x00\x00\x00\x00\x00{}")
def test_files_of_any_bytes(tmp_path_factory, raw):
    path: Path = tmp_path_factory.getbasetemp() / "any.st"
    path.write_bytes(raw)
    try:
        found = read_header(path)
    except MergeError:
        return
    assert len(found.tensors) == len(deserialize(raw))
