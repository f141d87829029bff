"""Parquet files and folders of save_to_disk."""

from __future__ import annotations

import numpy as np
import pytest
from image_files import BROKEN, encoded, picture

from merge.errors import MergeError, UsageError
from merge.evaluation.data import load_images, opening
from merge.evaluation.data.encoded import EncodedImages
from merge.evaluation.data.image_set import ArrayImages
from merge.evaluation.data_source import read_data_source
from merge.evaluation.image_format import ImageFormat
from merge.evaluation.task import Settings
from merge.section import parse_section

datasets = pytest.importorskip("datasets")
COLOUR = ImageFormat(3, (32, 32))
NAMES = ["bird", "cat"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def cells(n=4):
    return [{"bytes": encoded(picture(number)), "path": None} for number in range(n)]


def table(images="image", labels="label", pictures=None, form="feature", n=4):
    found = datasets.Dataset.from_dict({images: pictures or cells(n), labels: [row % 2 for row in range(n)]})
    if form == "feature":
        found = found.cast_column(images, datasets.Image())
    return found.cast_column(labels, datasets.ClassLabel(names=NAMES))


def load(tmp_path, path, more="", **settings):
    section = parse_section(f"data: {{path: '{path}'{more}}}", "bench.yaml")
    return load_images(read_data_source(section, tmp_path), Settings(**settings))


def assert_pictures(images, n=4):
    expected = np.stack([picture(number).transpose(2, 0, 1) for number in range(n)])
    np.testing.assert_array_equal(images.pixels(range(n), COLOUR), expected)
    assert (len(images), images.labels.tolist()) == (n, [row % 2 for row in range(n)])


@pytest.mark.parametrize("form", ["feature", "plain"])
def test_a_parquet_file(tmp_path, form):
    table(form=form).to_parquet(tmp_path / "some.parquet")
    images = load(tmp_path, "some.parquet")
    assert_pictures(images)
    assert images.classes == ("bird", "cat")


def test_a_column_of_bytes_without_names_of_classes(tmp_path):
    rows = {"x": [cell["bytes"] for cell in cells()], "y": [0, 1, 0, 1]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "some.parquet")
    images = load(tmp_path, "some.parquet", ", images: x, labels: y")
    assert_pictures(images)
    assert images.classes is None


def test_shards_by_pattern_and_splits_of_a_folder(tmp_path):
    whole = table(n=6)
    (tmp_path / "pq" / "data").mkdir(parents=True)
    for shard in range(2):
        part = whole.select(range(3 * shard, 3 * shard + 3))
        part.to_parquet(tmp_path / "pq" / "data" / f"test-0000{shard}-of-00002.parquet")
    whole.select([0]).to_parquet(tmp_path / "pq" / "data" / "train-00000-of-00001.parquet")
    assert_pictures(load(tmp_path, "pq", ", split: test"), n=6)
    assert_pictures(load(tmp_path, "pq/data/test-*.parquet"), n=6)
    with pytest.raises(UsageError, match=r"pq has no split 'val' \(there are: .*test.*\)"):
        load(tmp_path, "pq", ", split: val")
    with pytest.raises(UsageError, match="1 images are too few"):
        load(tmp_path, "pq", ", split: train")


def test_folders_of_save_to_disk(tmp_path):
    table(images="img").save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": table(n=2), "val": table()}).save_to_disk(tmp_path / "several")
    assert_pictures(load(tmp_path, "one"))
    assert_pictures(load(tmp_path, "several", ", split: val"))
    with pytest.raises(UsageError, match=r"several has no split 'test' \(there are: train, val\)"):
        load(tmp_path, "several")


def test_a_saved_split_knows_its_name(tmp_path):
    table().to_parquet(tmp_path / "some.parquet")
    whole = datasets.load_dataset("parquet", data_files={"val": str(tmp_path / "some.parquet")}, split="val")
    whole.save_to_disk(tmp_path / "saved")
    section = parse_section("data: {path: saved}", "bench.yaml")
    assert read_data_source(section, tmp_path).split == "val"
    with pytest.raises(UsageError, match=r"saved has no split 'test' \(there are: val\)"):
        load(tmp_path, "saved", ", split: test")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (3, 8, 8)])
def test_columns_of_arrays_stay_arrays(tmp_path, dtype, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(dtype)
    datasets.Dataset.from_dict({"image": pixels, "label": [0, 1, 0, 1]}).to_parquet(tmp_path / "some.parquet")
    images = load(tmp_path, "some.parquet")
    assert isinstance(images, ArrayImages)
    assert images.images.dtype == dtype
    first = pixels if shape == (3, 8, 8) else np.moveaxis(pixels.reshape(4, 8, 8, -1), 3, 1)
    np.testing.assert_array_equal(images.images, first)
    with pytest.raises(UsageError, match="'size' and 'resize' are for encoded images"):
        load(tmp_path, "some.parquet", ", size: 8")


def test_a_broken_cell_is_named_by_its_row_or_left_out(tmp_path):
    broken = cells()
    broken[2] = {"bytes": BROKEN, "path": "two.png"}
    table(pictures=broken).to_parquet(tmp_path / "some.parquet")
    with pytest.raises(MergeError, match=r"^row 2 \(two.png\): the image cannot be read"):
        load(tmp_path, "some.parquet").pixels(range(4), COLOUR)
    images = load(tmp_path, "some.parquet", skip_broken=True)
    assert images.labels.tolist() == [0, 1, 1]
    assert images.notes == ("1 of 4 images could not be read and are left out: row 2 (two.png)",)


def test_an_empty_cell_is_broken_too(tmp_path):
    table(pictures=[*cells(3), None]).to_parquet(tmp_path / "some.parquet")
    with pytest.raises(MergeError, match=r"^row 3: the image cannot be read: the cell is empty"):
        load(tmp_path, "some.parquet").pixels(range(4), COLOUR)


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        ({"image": cells(2), "label": [0, 1]}, ", images: imag", "no column 'imag' (did you mean 'image'?)"),
        ({"image": cells(2), "label": [0, 1]}, ", labels: fine", "no column 'fine' (columns: image, label)"),
        ({"image": ["a.png", "b.png"], "label": [0, 1]}, "", "the column 'image' holds values of type string"),
        ({"image": [1, 2], "label": [0, 1]}, "", "the column 'image' holds values of type int64"),
        ({"image": cells(2), "label": ["a", "b"]}, "", "the column 'label' holds values of type string, not class"),
        ({"image": cells(2), "label": [-1, 1]}, "", "a label is -1"),
        ({"image": cells(2), "label": [None, 1]}, "", "the column 'label' has empty cells"),
        ({"image": [[[1.0]], [[1.0, 2.0]]], "label": [0, 1]}, "", "arrays in the column 'image' are of several shapes"),
    ],
)
def test_wrong_columns(tmp_path, rows, more, message):
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "some.parquet")
    with pytest.raises(UsageError) as refusal:
        load(tmp_path, "some.parquet", more)
    assert str(refusal.value).startswith("bench.yaml:1:8: ")
    assert message in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"PAR1 is how it starts"])
def test_a_damaged_parquet_file(tmp_path, content):
    (tmp_path / "some.parquet").write_bytes(content)
    with pytest.raises(MergeError, match=r"^bench.yaml:1:8: some.parquet cannot be read"):
        load(tmp_path, "some.parquet")


def test_a_missing_library_is_one_line_with_its_remedy(tmp_path, monkeypatch):
    (tmp_path / "some.parquet").touch()
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(MergeError, match=r"need the library datasets \(pip install 'merge-checkpoints\[data\]'\)"):
        load(tmp_path, "some.parquet")


def test_encoded_rows_are_not_read_when_they_are_opened(tmp_path):
    table().to_parquet(tmp_path / "some.parquet")
    images = load(tmp_path, "some.parquet")
    assert isinstance(images.inner, EncodedImages)
    assert images._kept == {}
