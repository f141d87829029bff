"""What ``--data`` takes, with labels and without, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation.tiny_clip import make_clip
from evaluation.tiny_language_models import make_llama, save
from evaluation.tiny_models import example_arrays, make_classifier

from merge.calibration.data import read_data
from merge.errors import MergeError, UsageError
from merge.evaluation.locate import locate
from merge.evaluation.task import Settings

SETTINGS = Settings()


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model") / "vit"
    make_classifier(0).save_pretrained(folder)
    return locate(str(folder)).load()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return locate(str(save(make_llama(), tmp_path_factory.mktemp("model") / "llama"))).load()


def sample_of(model: Any, spec: object, count: int = 4, draw: str = "first", **settings: Any) -> Any:
    data, chosen = read_data(str(spec)), Settings(**settings)
    return data.sample(data.subject(model, chosen), count, draw, chosen)


def labels_of(sample: Any) -> Any:
    (batch,) = sample.batches(100)
    return batch.labels


def write_images(folder: Path, names: list[str]) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)


def test_digits_are_the_training_ones(vit: Any) -> None:
    shorthand, bundled = sample_of(vit, "builtin:digits"), sample_of(vit, "digits-train")
    assert shorthand.about["split"] == bundled.about["split"] == "train"
    assert shorthand.about["total"] == bundled.about["total"] == 1257
    assert shorthand.about["digest"] == bundled.about["digest"]
    assert sample_of(vit, "digits-report").about["total"] == 270


def test_arrays_without_labels(vit: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=example_arrays()["images"])
    sample = sample_of(vit, tmp_path / "x.npz")
    assert len(sample) == 4
    assert labels_of(sample) is None
    assert sample.about["name"] == "x"


def test_arrays_of_the_training_split(vit: Any, tmp_path: Path) -> None:
    arrays = example_arrays()
    np.savez(tmp_path / "x.npz", train_images=arrays["images"], train_labels=arrays["labels"], test_images=1)
    assert labels_of(sample_of(vit, tmp_path / "x.npz")).tolist() == [0, 1, 2, 0]


def test_evaluation_insists_on_labels(cli: Any, vit: Any, here: Path) -> None:
    np.savez(here / "data.npz", images=example_arrays()["images"])
    (here / "b.yaml").write_text("kind: classification\ndata: {path: data.npz}\n")
    make_classifier(0).save_pretrained(here / "vit")
    result = cli("eval", here / "vit", "--benchmark", "b.yaml")
    assert result.code == 2
    assert "no array 'labels'" in result.err
    assert labels_of(sample_of(vit, "b.yaml")) is None


def test_images_in_one_folder(vit: Any, tmp_path: Path) -> None:
    write_images(tmp_path / "plain", ["a.png", "b.png", "c.png"])
    sample = sample_of(vit, tmp_path / "plain", 3)
    assert labels_of(sample) is None
    assert sample.about["total"] == 3
    (tmp_path / "b.yaml").write_text("kind: classification\ndata: {path: plain}\n")
    assert sample_of(vit, tmp_path / "b.yaml", 3).about["digest"] == sample.about["digest"]


def test_folder_with_splits_and_classes(vit: Any, tmp_path: Path) -> None:
    write_images(tmp_path / "set", ["train/x/1.png", "train/y/1.png", "train/y/2.png", "val/x/1.png", "val/y/1.png"])
    sample = sample_of(vit, tmp_path / "set", 9)
    assert labels_of(sample).tolist() == [0, 1, 1]
    assert sample.about["split"] == "train"
    assert sample.about["notes"] == ["all 3 items were used: 9 were asked for"]


def test_one_image_will_do(vit: Any, tmp_path: Path) -> None:
    write_images(tmp_path / "one", ["a.png"])
    assert len(sample_of(vit, tmp_path / "one", 1)) == 1


def test_broken_images(vit: Any, tmp_path: Path) -> None:
    write_images(tmp_path / "some", ["a.png", "b.png"])
    (tmp_path / "some/c.png").write_bytes(b"no image")
    with pytest.raises(MergeError, match=r"c\.png: the image cannot be read"):
        sum(len(batch) for batch in sample_of(vit, tmp_path / "some", 3).batches(1))
    sample = sample_of(vit, tmp_path / "some", 3, skip_broken=True)
    assert [len(sample), "left out" in sample.about["notes"][0]] == [2, True]


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    import pyarrow
    from pyarrow import parquet

    pixels = pyarrow.list_(pyarrow.list_(pyarrow.uint8()))
    table = {name: pyarrow.array(cells, pixels if name == "image" else None) for name, cells in columns.items()}
    parquet.write_table(pyarrow.table(table), path)
    return path


def test_tables_of_texts_and_of_images(vit: Any, llama: Any, tmp_path: Path) -> None:
    texts = write_parquet(tmp_path / "t.parquet", {"text": ["cat", "dog a", "no"], "other": [1, 2, 3]})
    assert len(sample_of(llama, texts, 3)) == 3
    arrays = example_arrays(4)
    images = write_parquet(tmp_path / "i.parquet", {"image": arrays["images"].tolist(), "label": list("abcd")})
    assert labels_of(sample_of(vit, images)) is None  # its labels are words
    neither = write_parquet(tmp_path / "n.parquet", {"caption": ["a"]})
    with pytest.raises(UsageError, match=r"no column 'images' and no column 'text' \(columns: caption; a YAML file"):
        sample_of(vit, neither)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_lines_of_texts(name: str, llama: Any, tmp_path: Path) -> None:
    rows = {"x.csv": "text,labels\ncat,0\ndog,1\n", "x.jsonl": '{"text": "cat"}\n{"text": "dog"}\n'}
    (tmp_path / name).write_text(rows[name])
    assert sample_of(llama, tmp_path / name).about["total"] == 2


def test_perplexity_benchmark_of_several_documents(llama: Any, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ("cat", "dog")))
    (tmp_path / "p.yaml").write_text("kind: perplexity\ndata: {path: d.jsonl}\n")
    assert sample_of(llama, tmp_path / "p.yaml").about["total"] == 2


def test_a_dataset_of_the_hub_that_is_not_there(vit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    for spec in ("nobody/nothing-here", "hf:nobody/nothing-here", "hub:nobody/nothing-here"):
        with pytest.raises(MergeError, match="nobody/nothing-here is not in the local cache"):
            sample_of(vit, spec)


def test_pixels_are_normalised_as_the_folder_says_and_not_at_all_without_it(vit: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **example_arrays())
    make_clip(tmp_path / "clip")
    clip = locate(str(tmp_path / "clip")).load()
    assert sample_of(clip, tmp_path / "x.npz").about["normalize"] == {"mean": [0.5] * 3, "std": [0.25] * 3}
    assert sample_of(vit, tmp_path / "x.npz").about["normalize"] == {"mean": [0.0], "std": [1.0]}
    (tmp_path / "b.yaml").write_text("kind: classification\ndata: {path: x.npz}\nnormalize: {mean: .1, std: .2}\n")
    assert sample_of(clip, tmp_path / "b.yaml").about["normalize"] == {"mean": [0.1], "std": [0.2]}


REFUSED = {
    "nothing": ("", "an empty name of data"),
    "an empty part": ("builtin:digits,", "an empty name of data"),
    "a misspelt benchmark": ("digits-trian", r"no such data \(did you mean 'digits-train'\?\)"),
    "a file that is not there": ("nowhere.npz", r"nowhere.npz: no such data \(--data takes a YAML file"),
    "a YAML file that is not there": ("nowhere.yaml", "no such benchmark file"),
    "a task of the harness": ("task.yaml", "'task' is a task of lm-evaluation-harness, which gives no data"),
    "a suite": ("clip-8", "a suite of 8 benchmarks; one is needed here"),
    "corruptions": ("corruptions.yaml", "a suite of 3 benchmarks; one is needed here"),
    "a wrong key": ("wrong.yaml", r"wrong.yaml:2:24: unknown key 'splt' \(did you mean 'split'\?\)"),
    "other bundled data": ("builtin:letters", "unknown bundled data 'builtin:letters'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_read(case: str, here: Path) -> None:
    (here / "task.yaml").write_text("kind: lm-eval\ntasks: arc_easy\n")
    (here / "wrong.yaml").write_text("kind: classification\ndata: {path: data.npz, splt: train}\n")
    text = "kind: classification\ndata: {path: 'builtin:digits'}\ncorruptions: {names: [fog, snow], severities: [1]}\n"
    (here / "corruptions.yaml").write_text(text)
    np.savez(here / "data.npz", **example_arrays())
    spec, message = REFUSED[case]
    with pytest.raises(UsageError, match=message):
        read_data(spec)
