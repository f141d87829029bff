"""Benchmark files: what is accepted, and the place and remedy in every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from merge.errors import UsageError
from merge.evaluation.specification import read_benchmark

MINIMAL = "kind: classification\ndata: {path: builtin:digits}\n"


def write(folder: Path, text: str) -> str:
    (folder / "spec.yaml").write_text(text)
    return str(folder / "spec.yaml")


@pytest.mark.parametrize("word", ["digits", "builtin:digits"])
def test_bundled_digits(word):
    benchmark = read_benchmark(word)
    assert (benchmark.name, benchmark.data.path, benchmark.data.split) == ("digits", None, "test")
    assert (benchmark.head, benchmark.normalization.mean, benchmark.normalization.std) == (None, (0.0,), (1.0,))


def test_the_repository_has_the_bundled_benchmark_as_an_example():
    example = Path(__file__).parents[2] / "benchmarks" / "digits.yaml"
    bundled = Path(read_benchmark.__code__.co_filename).parent / "suites" / "digits.yaml"
    assert example.read_text() == bundled.read_text()


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "data.npz").touch()
    (tmp_path / "heads.st").touch()
    text = "kind: classification\ndata: {path: data.npz, split: val, images: x, labels: y}\nmodel: ./clip\n"
    benchmark = read_benchmark(write(tmp_path, text + "head: heads.st#a\nlogit_scale: 10\n"))
    assert benchmark.name == "spec"
    assert benchmark.model.name == str(tmp_path / "clip")
    assert benchmark.head is not None
    assert (benchmark.head.path, benchmark.head.name) == (tmp_path / "heads.st", "a")
    assert (benchmark.data.path, benchmark.data.images, benchmark.data.labels) == (tmp_path / "data.npz", "x", "y")
    assert benchmark.logit_scale == 10


def test_normalization_takes_one_number_or_one_a_channel(tmp_path):
    benchmark = read_benchmark(write(tmp_path, MINIMAL + "normalize: {mean: [0.1, 0.2, 0.3], std: 0.5}\n"))
    assert (benchmark.normalization.mean, benchmark.normalization.std) == ((0.1, 0.2, 0.3), (0.5,))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("kind: clasification\ndata: {path: builtin:digits}", ":1:1", "did you mean 'classification'?"),
        ("kind: 5\ndata: {path: builtin:digits}", ":1:1", "'kind' must be a text"),
        ("name: a\ndata: {path: builtin:digits}", ":1:1", "the key 'kind' is missing"),
        ("name: a\nkid: classification\ndata: {path: builtin:digits}", ":2:1", "did you mean 'kind'?"),
        (MINIMAL + "normalise: {mean: 0, std: 1}", ":3:1", "did you mean 'normalize'?"),
        (MINIMAL + "normalize: {mean: 0, sd: 1}", ":3:22", "unknown key 'sd'"),
        (MINIMAL + "normalize: {mean: 0, std: 0}", ":3:22", "'std' must be above 0"),
        (MINIMAL + "normalize: {mean: [0, 0], std: [1, 1, 1]}", ":3:13", "'mean' has 2 channels and 'std' 3"),
        (MINIMAL + "normalize: {mean: [], std: 1}", ":3:13", "empty list"),
        (MINIMAL + "normalize: {mean: .nan, std: 1}", ":3:13", "finite number"),
        (MINIMAL + "normalize: {mean: true, std: 1}", ":3:13", "finite number"),
        (MINIMAL + "normalize: 0.5", ":3:1", "'normalize' must be a mapping"),
        (MINIMAL + "logit_scale: 10", ":3:1", "'logit_scale' needs a 'head'"),
        (MINIMAL + "head: heads.safetensors", ":3:1", "names no tensor"),
        (MINIMAL + "head: heads.safetensors#digits", ":3:1", "no such head file"),
        (MINIMAL + "kind: classification", ":3:1", "kind"),
        ("suite: s\nbenchmarks: []", ":2:1", "a suite without benchmarks"),
        ("kind: classification\ndata: {split: test}", ":2:7", "the key 'path' is missing"),
        ("kind: classification\ndata: {path: absent.npz}", ":2:8", "no such data file"),
        ("kind: classification\ndata: {path: builtin:letters}", ":2:8", "there is builtin:digits"),
        ("kind: classification\ndata: {path: builtin:digits, spilt: test}", ":2:30", "did you mean 'split'?"),
        ("kind: [", "", "not valid YAML"),
        ("- a", ":1:1", "a mapping"),
        ("", ":1:1", "a mapping"),
    ],
)
def test_refusals_say_where_and_what(tmp_path, text, place, message):
    spec = write(tmp_path, text)
    with pytest.raises(UsageError) as refusal:
        read_benchmark(spec)
    assert str(refusal.value).startswith(spec + place)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["digits.npz", "texts.jsonl", "images"])
def test_data_in_place_of_a_benchmark(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04\x8f") if path.suffix else path.mkdir()
    with pytest.raises(UsageError) as refusal:
        read_benchmark(str(path))
    assert str(refusal.value).startswith(f"{path}: this is data, and a benchmark is a YAML file that names its data")
    assert f"data: {{path: {path}}}" in str(refusal.value)


def test_absent_file():
    with pytest.raises(UsageError, match="no such benchmark file"):
        read_benchmark("absent.yaml")


@pytest.mark.parametrize("data", ["images/leaf.npz", "leaves", "texts.jsonl"])
def test_misspelt_files_are_found_nearby(tmp_path, data):
    """A file, a folder and lines of text; and the benchmark itself."""
    (tmp_path / "images").mkdir()
    for name in ("images/leaf1.npz", "text.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "leaf").mkdir()
    text = ", text: sentence" if data.endswith("jsonl") else ""
    spec = write(tmp_path, f"kind: classification\ndata: {{path: {data}{text}}}\n")
    with pytest.raises(UsageError, match=r"no such data file: \S+ \(did you mean '(leaf1.npz|leaf|text.jsonl)'\?\)"):
        read_benchmark(spec)
    with pytest.raises(UsageError, match=f"did you mean '{Path(spec).name}'"):
        read_benchmark(spec.replace(".yaml", "s.yaml"))
