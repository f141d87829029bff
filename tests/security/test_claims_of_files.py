"""Files that claim or unpack to absurd sizes: refused by what they claim, before memory is taken."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import entry, random_state, save, write_raw
from command_line import Result, assert_refused

from merge.checkpoints import pickled
from merge.checkpoints.checkpoint import read_json_object
from merge.errors import MergeError, UsageError
from merge.evaluation.data import claims, medmnist_c
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings

Cli = Callable[..., Result]
LABELS = (3,), b"\0\1\2"


def npy(shape: tuple[int, ...], data: bytes = b"", kind: str = "|u1") -> bytes:
    """An array in numpy's format whose header says whatever it likes."""
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(path: Path, **arrays: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return path


def prepare(folder: Path) -> Any:
    (folder / "b.yaml").write_text("kind: classification\ndata: {path: d.npz}\n")
    return read_benchmark(str(folder / "b.yaml")).prepare(Settings())


@pytest.mark.parametrize("shape", [(2**40, 8, 8), (2**62, 2**62), (0,), (2, 8, 8)])
def test_an_array_that_claims_another_size_than_it_has(tmp_path: Path, shape: tuple[int, ...]) -> None:
    npz(tmp_path / "d.npz", images=npy(shape, bytes(3 * 64)), labels=npy(*LABELS))
    with pytest.raises(UsageError, match=r"'images' claims [\d,]+ bytes, and there are 192"):
        prepare(tmp_path)


def test_an_array_that_unpacks_to_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path / "d.npz", images=npy((3, 2000, 2000), bytes(12_000_000)), labels=npy(*LABELS))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(claims, "free_memory", lambda: 10_000_000)
    with pytest.raises(MergeError, match=r"'images' needs 0\.0 GB of memory"):
        prepare(tmp_path)
    monkeypatch.setattr(claims, "free_memory", lambda: 20_000_000)
    prepare(tmp_path)


def test_pickled_arrays(tmp_path: Path) -> None:
    npz(tmp_path / "d.npz", images=npy((1,), b"cos\nsystem\n(S'touch ran'\ntR.", "|O"), labels=npy(*LABELS))
    with pytest.raises(UsageError, match="allow_pickle=False"):
        prepare(tmp_path)


def test_arrays_of_medmnist_c(tmp_path: Path) -> None:
    path = npz(tmp_path / "bubble.npz", test_images=npy((5 * 2**40, 8, 8)))
    with pytest.raises(UsageError, match="'test_images' claims"):
        medmnist_c._slice(path, "test_images", 1, "b.yaml")


def test_a_tensor_that_repeats_a_few_numbers(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.ones(1).expand(2**40)}, here / "a.pt")
    assert_refused(cli("inspect", "a.pt"), 1, "a.pt", "'w'", "4,398,046,511,104 bytes made of a few that it repeats")
    torch.save({"w": torch.ones(1, 8).expand(8, 8)}, here / "small.pt")
    assert cli("inspect", "small.pt").code == 0
    monkeypatch.setattr(pickled, "SMALL_BYTES", 1)
    assert cli("inspect", "small.pt").code == 0  # repeated 8 times
    monkeypatch.setattr(pickled, "MOST_TIMES", 7)
    assert_refused(cli("inspect", "small.pt"), 1, "256 bytes made of a few")


def test_a_pickle_that_claims_more_than_its_record(cli: Cli, here: Path) -> None:
    torch.save({"w": torch.ones(1000)}, here / "sound.pt")
    with zipfile.ZipFile(here / "sound.pt") as archive:
        items = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(here / "a.pt", "w", zipfile.ZIP_STORED) as archive:
        for name, content in items.items():
            archive.writestr(name, content.replace(struct.pack("<H", 1000), struct.pack("<H", 60000)))
    assert_refused(cli("inspect", "a.pt"), 1, "a.pt")


def test_records_that_overlap(cli: Cli, here: Path) -> None:
    """Many records on the same bytes of a small file, as in zip bombs without compression of their own."""
    torch.save({"w": torch.ones(2**20)}, here / "sound.pt")
    raw = bytearray((here / "sound.pt").read_bytes())
    start = raw.index(b"PK\x01\x02")
    end = raw.index(b"PK\x05\x06") if raw.rfind(b"PK\x06\x06") < 0 else raw.rfind(b"PK\x06\x06")
    directory = bytes(raw[start:end])
    many = directory * 60
    count = 60 * directory.count(b"PK\x01\x02")
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(many), start, 0)
    (here / "a.pt").write_bytes(bytes(raw[:start]) + many + tail)
    assert_refused(cli("inspect", "a.pt"), 1, "a.pt")


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "sizes whose product is zero modulo 2^64": ({"w": entry("F32", [2**32, 2**32], 0, 0)}, "impossible"),
    "a size of 2^63": ({"w": entry("F32", [2**63, 2**62], 0, 2**64)}, "impossible"),
    "end before begin": ({"w": entry("F32", [1], 8, 4)}, "impossible"),
    "beyond the file": ({"w": entry("F32", [2**40], 0, 2**42)}, "truncated"),
    "one upon another": ({"v": entry("F32", [1], 0, 4), "w": entry("F32", [1], 0, 4)}, "overlaps"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_of_safetensors_that_claim_the_impossible(cli: Cli, here: Path, case: str) -> None:
    header, words = HEADERS[case]
    write_raw(here / "a.st", header, bytes(4))
    assert_refused(cli("inspect", "a.st"), 1, "a.st", words)


ALIASES = "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12))
BOMBS = {
    "for too much": (f"merge: soup\nmodels: [a.st]\noptions:\n  l0: &l0 [x, x]\n{ALIASES}", "stand for more than"),
    "for itself": ("&m\nmerge: soup\nmodels: [*m]\n", "holds itself"),
    "for itself in a list": ("merge: soup\nmodels: &m [a.st, *m]\n", "holds itself"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_aliases_of_yaml(cli: Cli, here: Path, pair: tuple[Path, Path], case: str) -> None:
    text, words = BOMBS[case]
    (here / "r.yaml").write_text(text)
    assert_refused(cli("run", "r.yaml", "-o", "out.st"), 2, "r.yaml", words)
    assert not (here / "out.st").exists()


def test_aliases_that_save_typing(cli: Cli, here: Path, pair: tuple[Path, Path]) -> None:
    text = "merge: soup\nmodels: [{model: a.st, weight: &w 2}, {model: b.st, weight: *w}]\n"
    (here / "r.yaml").write_text(text)
    assert cli("run", "r.yaml", "-o", "out.st", "--quiet").code == 0


def test_tags_of_yaml_make_no_objects(cli: Cli, here: Path, pair: tuple[Path, Path]) -> None:
    call = "!!python/object/apply:os.system ['touch ran']"
    (here / "r.yaml").write_text(f"merge: soup\nmodels: [a.st, {call}]\n")
    assert_refused(cli("run", "r.yaml", "-o", "out.st"), 2, "r.yaml:2")
    assert not (here / "ran").exists()


def test_a_configuration_that_is_far_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no disk
    with pytest.raises(MergeError, match="larger than"):
        read_json_object(path)


def test_an_index_that_is_far_too_large(cli: Cli, here: Path) -> None:
    save(here / "m" / "model-00001-of-00001.safetensors", random_state(0))
    with (here / "m" / "model.safetensors.index.json").open("wb") as file:
        file.truncate(2**40)
    assert_refused(cli("inspect", "m"), 1, "index.json", "larger than")
