"""Targets: data that models are calibrated and evaluated on."""

from __future__ import annotations

import io
import json
import os
from functools import partial
from pathlib import Path

from fuzz_forms import BYTES, JSON, LINES, YAML, member
from fuzz_target import Target, write_json


def _table(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    columns = "text: sentence, text_pair: other" if name != "table.txt" else ""
    kind = "perplexity" if not columns else "classification"
    (folder / "benchmark.yaml").write_text(f"kind: {kind}\ndata: {{path: {name}, {columns}}}\n")


def _read_texts(folder: Path) -> None:
    from merge.evaluation.language.labelled_texts import load_labelled_texts
    from merge.evaluation.specification import read_benchmark

    load_labelled_texts(read_benchmark("benchmark.yaml").data)  # type: ignore[attr-defined]


def _read_documents(folder: Path) -> None:
    from merge.evaluation.language.documents import load_documents
    from merge.evaluation.specification import read_benchmark

    load_documents(read_benchmark("benchmark.yaml").data)  # type: ignore[attr-defined]


def _documents(folder: Path) -> None:
    (folder / "lines.jsonl").write_text("".join(json.dumps({"text": f"words {n}"}) + "\n" for n in range(3)))
    (folder / "benchmark.yaml").write_text("kind: perplexity\ndata: {path: lines.jsonl}\n")


def _arrays(folder: Path) -> None:
    import numpy as np

    images = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    np.savez(folder / "data.npz", test_images=images, test_labels=np.arange(4)[:, None] % 2)
    (folder / "benchmark.yaml").write_text("kind: classification\ndata: {path: data.npz}\n")


def _read_images(folder: Path) -> None:
    from merge.evaluation.data import load_images
    from merge.evaluation.image_format import ImageFormat
    from merge.evaluation.specification import read_benchmark

    expected = ImageFormat(3, (8, 8))
    found = load_images(read_benchmark("benchmark.yaml").data)  # type: ignore[attr-defined]
    found.shape(expected)
    found.pixels(range(min(len(found), 9)), expected)


def _picture(seed: int) -> bytes:
    import numpy as np
    from PIL import Image

    made = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue()


def _pictures(folder: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        (folder / "images" / name).mkdir(parents=True)
        for item in range(2):
            (folder / "images" / name / f"{item}.png").write_bytes(_picture(2 * number + item))
    (folder / "benchmark.yaml").write_text("kind: classification\ndata: {path: images}\n")


def _medimeta(folder: Path) -> None:
    import numpy as np
    import yaml

    task = {"task_name": "case", "task_target": "BINARY_CLASSIFICATION", "labels": {0: "normal", 1: "ill"}}
    root = folder / "sets" / "bus"
    for part in ("images", "task_labels", "splits"):
        (root / part).mkdir(parents=True)
    (root / "info.yaml").write_text(yaml.safe_dump({"id": "bus", "name": "b", "tasks": [task]}))
    for number in range(4):
        (root / "images" / f"{number:06d}.tiff").write_bytes(_picture(number))
    np.save(root / "task_labels" / "case.npy", np.arange(4) % 2)
    (root / "splits" / "test.txt").write_text("".join(f"images/{number:06d}.tiff\n" for number in range(4)))
    (folder / "benchmark.yaml").write_text("kind: classification\ndata: {path: 'medimeta:bus/case'}\n")


def _read_medimeta(folder: Path) -> None:
    os.environ["MERGE_MEDIMETA_ROOT"] = str(folder / "sets")
    _read_images(folder)


def _saved(folder: Path) -> None:
    write_json(folder / "saved" / "state.json", {"_split": "test", "_data_files": [{"filename": "data.arrow"}]})


def _read_saved(folder: Path) -> None:
    from merge.evaluation.data.opening import saved_split

    saved_split(folder / "saved")


_ROWS = [{"sentence": f"text {n}", "other": f"more {n}", "label": n % 2} for n in range(8)]
_CSV = "sentence,other,labels\n" + "".join(f'"text {n}",more {n},{n % 2}\n' for n in range(8))
_JSONL = "".join(json.dumps({**row, "labels": row["label"]}) + "\n" for row in _ROWS)
DATA = (
    Target("texts-jsonl", "table.jsonl", LINES, partial(_table, "table.jsonl", _JSONL), _read_texts),
    Target("texts-csv", "table.csv", BYTES, partial(_table, "table.csv", _CSV), _read_texts),
    Target("documents-jsonl", "lines.jsonl", LINES, _documents, _read_documents),
    Target("documents-text", "table.txt", BYTES, partial(_table, "table.txt", "some words\n"), _read_documents),
    Target("images-npz", "data.npz", BYTES, _arrays, _read_images),
    Target("array-in-npz", "data.npz", member("test_images.npy"), _arrays, _read_images),
    Target("labels-in-npz", "data.npz", member("test_labels.npy"), _arrays, _read_images),
    Target("image", "images/cat/1.png", BYTES, _pictures, _read_images),
    Target("medimeta-info", "sets/bus/info.yaml", YAML, _medimeta, _read_medimeta),
    Target("medimeta-split", "sets/bus/splits/test.txt", BYTES, _medimeta, _read_medimeta),
    Target("medimeta-labels", "sets/bus/task_labels/case.npy", BYTES, _medimeta, _read_medimeta),
    Target("saved-table", "saved/state.json", JSON, _saved, _read_saved),
)
