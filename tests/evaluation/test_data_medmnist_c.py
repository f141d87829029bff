"""MedMNIST-C's own files, and the suites of the medical protocol."""

from __future__ import annotations

import numpy as np
import pytest
from medical_files import SETS, write_all, write_medmnist, write_medmnist_c

from merge.errors import UsageError
from merge.evaluation.data import load_images
from merge.evaluation.data.medmnist_c import CORRUPTIONS
from merge.evaluation.data_source import PublishedCorruption
from merge.evaluation.specification import read_benchmarks

# Numbers of corruptions, as counted in MedMNIST-C's table of them.
COUNTS = {"bloodmnist": 11, "breastmnist": 7, "dermamnist": 15, "octmnist": 6, "pathmnist": 11, "retinamnist": 8}
COUNTS |= {"organamnist": 13, "organcmnist": 13, "organsmnist": 13, "pneumoniamnist": 13, "tissuemnist": 8}
TEXT = """\
name: {name}
kind: classification
data: {{path: "medmnist:{name}@224", split: {split}}}
corruptions: {{names: medmnist-c, severities: {severities}}}
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MERGE_MEDMNIST_ROOT", str(tmp_path))
    monkeypatch.delenv("MERGE_MEDMNIST_C_ROOT", raising=False)
    return tmp_path


def read(root, name, severities="all", split="test"):
    (root / "bench.yaml").write_text(TEXT.format(name=name, severities=severities, split=split))
    return read_benchmarks([str(root / "bench.yaml")])


def test_numbers_of_corruptions():
    assert {name: len(names) for name, names in CORRUPTIONS.items()} == COUNTS
    assert all(len({*names}) == len(names) for names in CORRUPTIONS.values())


@pytest.mark.parametrize("name", SETS)
def test_each_severity_is_its_fifth_of_the_file(root, name):
    write_medmnist(root, name)
    write_medmnist_c(root / "medmnistc", name)
    clean, *corrupted = read(root, name)
    assert [one.name for one in corrupted][:2] == [f"{name}/pixelate/1", f"{name}/pixelate/2"]
    assert len(corrupted) == 5 * COUNTS[name]
    of_clean = load_images(clean.data)
    with np.load(root / "medmnistc" / name / "jpeg_compression.npz") as file:
        stored = file["test_images"].reshape(5, 16, 8, 8, *SETS[name])
    for severity, benchmark in enumerate(corrupted[5:10]):
        images = load_images(benchmark.data)
        expected = stored[severity]
        np.testing.assert_array_equal(images.images, np.moveaxis(expected, 3, 1) if SETS[name] else expected[:, None])
        assert images.labels.tolist() == of_clean.labels.tolist()
        assert images.classes == of_clean.classes
        assert benchmark.data.corruption == ("jpeg_compression", severity + 1, name)
        assert isinstance(benchmark.data.corruption, PublishedCorruption)


def test_the_variable_names_another_folder(root, monkeypatch):
    write_medmnist(root, "octmnist")
    write_medmnist_c(root / "elsewhere", "octmnist")
    monkeypatch.setenv("MERGE_MEDMNIST_C_ROOT", str(root / "elsewhere"))
    assert [one.name for one in read(root, "octmnist", "[5]")][:2] == ["octmnist", "octmnist/pixelate/5"]


def test_missing_files_are_said_before_anything_is_run(root):
    write_medmnist(root, "octmnist")
    with pytest.raises(UsageError, match=r"yaml:4:15: no such file: .*put MedMNIST-C's own octmnist.pixelate.npz"):
        read(root, "octmnist")


def test_other_data_have_no_published_corruptions(root):
    (root / "a.yaml").write_text(
        "kind: classification\ndata: {path: builtin:digits}\ncorruptions: {names: medmnist-c, severities: all}"
    )
    with pytest.raises(UsageError, match=r"a.yaml:3:15: MedMNIST-C has no corruptions of 'builtin:digits'"):
        read_benchmarks([str(root / "a.yaml")])


def test_another_split(root):
    write_medmnist(root, "octmnist")
    write_medmnist_c(root / "medmnistc", "octmnist")
    benchmark = read(root, "octmnist", split="val")[1]
    with pytest.raises(UsageError, match="MedMNIST-C has the split 'test' alone, not 'val'"):
        load_images(benchmark.data)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((5, 8, 8), np.uint8)}, "no array 'test_images' in pixelate.npz"),
        ({"test_images": np.zeros((6, 8, 8), np.uint8)}, "test_images of pixelate.npz is no array of MedMNIST-C"),
        (
            {"test_images": np.zeros((10, 8, 8), np.uint8), "test_labels": np.zeros((5, 1), np.uint8)},
            "pixelate.npz has 2 images but 1 labels",
        ),
        ({"test_images": np.array([{}] * 5, object)}, "is no array of MedMNIST-C"),
        (None, "cannot read pixelate.npz as an npz file"),
    ],
)
def test_broken_files(root, arrays, message):
    write_medmnist(root, "octmnist")
    write_medmnist_c(root / "medmnistc", "octmnist")
    path = root / "medmnistc" / "octmnist" / "pixelate.npz"
    if arrays is None:
        path.write_bytes(b"nothing")
    else:
        np.savez(path, **arrays)
    with pytest.raises(UsageError, match=message):
        load_images(read(root, "octmnist")[1].data)


def test_the_medical_suites_read_what_there_is(tmp_path, monkeypatch):
    write_all(tmp_path, monkeypatch)
    clean = read_benchmarks(["medical"])
    names = ["fundoscopy", "microscopy", "ultrasound", "oct"]
    assert [one.name for one in clean] == names
    corrupted = read_benchmarks(["medical-corruptions"])
    assert [one.name for one in corrupted if "/" not in one.name] == names
    assert len(corrupted) == 4 + 5 * (8 + 11 + 7 + 6)
    novel = read_benchmarks(["medical-novel"])
    assert [one.name for one in novel] == [
        *("fundoscopy-novel", "microscopy-novel", "ultrasound-same-images", "oct-same-images")
    ]
    for benchmark in [*clean, *novel]:
        images = load_images(benchmark.data)
        assert len(benchmark.prompts.names(images.classes)) == len(images.classes)  # one prompt a class
