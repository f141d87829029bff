"""Files of statistics: whole or not there, resumed to the same bytes, and never over something that matters."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import contents, environment
from safetensors import safe_open

from merge.calibration.facts import Facts
from merge.calibration.storing import Store
from merge.errors import MergeError, UsageError

KEY = {"model": "id", "options": {"samples": 4}}
TENSORS = {"b": torch.arange(4.0, dtype=torch.float64).reshape(2, 2) / 3, "a": torch.ones(3, dtype=torch.float64)}
FACTS = Facts("gram", "id", {"c": "b"}, {"c": "in_out"}, {"b": 7}, about={"left_out": {"x": "no row"}})


def use(out: Path, *steps: Callable[[Store], None], key: Mapping[str, Any] = KEY, **settings: Any) -> Store:
    """Build an output in steps."""
    with Store(out, **settings) as store:
        store.begin(key)
        for step in steps:
            step(store)
    return store


def save(store: Store) -> None:
    store.save(TENSORS, {"items": 2, "rows": {"b": 7}})


def stop(store: Store, error: type[BaseException] = KeyboardInterrupt) -> None:
    raise error("stop")


def complete(store: Store) -> None:
    store.finish(TENSORS, FACTS)


def stop_after_saving(out: Path, key: Mapping[str, Any] = KEY, error: type[BaseException] = KeyboardInterrupt) -> None:
    with pytest.raises(error):
        use(out, save, partial(stop, error=error), key=key)


def finish(out: Path, **settings: Any) -> Store:
    return use(out, complete, **settings)


def test_a_file_and_nothing_else(tmp_path):
    finish(tmp_path / "new" / "out.st")
    assert [path for path in contents(tmp_path) if Path(path).suffix] == ["new/out.st"]
    assert contents(tmp_path)["new"] == "folder"
    with safe_open(tmp_path / "new" / "out.st", "pt") as file:
        assert Facts.from_metadata(file.metadata(), "out.st") == FACTS
        for name, tensor in TENSORS.items():
            assert torch.equal(file.get_tensor(name), tensor.float())


def test_float64_on_request(tmp_path):
    finish(tmp_path / "out.st", dtype="float64")
    with safe_open(tmp_path / "out.st", "pt") as file:
        assert torch.equal(file.get_tensor("b"), TENSORS["b"])


def test_the_same_bytes_each_time(tmp_path):
    finish(tmp_path / "a.st")
    for name in "bcd":
        script = (
            "import sys; sys.path[:0] = sys.argv[1:3]\nfrom test_storing import finish, Path\nfinish(Path(sys.argv[3]))"
        )
        folders = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
        subprocess.run([sys.executable, "-c", script, *folders, tmp_path / f"{name}.st"], env=environment(), check=True)
    found = contents(tmp_path)
    assert len(found) == 4
    assert len(set(found.values())) == 1


def test_numbers_that_do_not_fit_are_refused(tmp_path):
    large = {"a": torch.tensor([1e300], dtype=torch.float64)}
    with pytest.raises(MergeError, match=r"'a' do not fit into float32 \(try --dtype float64\)"):
        use(tmp_path / "out.st", lambda store: store.finish(large, FACTS))
    assert not contents(tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stopped_run_is_resumed(tmp_path, error):
    out = tmp_path / "out.st"
    stop_after_saving(out, error=error)
    assert not out.exists()
    with Store(out, resume=True) as store:
        begun = store.begin(KEY)
        assert begun.notes == {"items": 2, "rows": {"b": 7}}
        assert all(torch.equal(begun.tensors[name], tensor) for name, tensor in TENSORS.items())
        assert store.notes == ["resumed after 2 items"]
        store.finish(TENSORS, FACTS)
    assert list(contents(tmp_path)) == ["out.st"]


def test_a_run_resumed_and_stopped_again_loses_nothing(tmp_path):
    stop_after_saving(tmp_path / "out.st")
    with pytest.raises(KeyboardInterrupt):
        use(tmp_path / "out.st", stop, resume=True)
    with Store(tmp_path / "out.st", resume=True) as store:
        assert store.begin(KEY).notes["items"] == 2


def test_a_killed_run_is_resumed(tmp_path):
    script = (
        "import sys, time; sys.path[:0] = sys.argv[1:3]\n"
        "from test_storing import KEY, TENSORS, Path, Store\n"
        "store = Store(Path(sys.argv[3]))\n"
        "store.begin(KEY)\n"
        "store.save(TENSORS, {'items': 2})\n"
        "print('saved', flush=True)\n"
        "time.sleep(60)"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *folders, tmp_path / "out.st"], env=environment(), stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"saved\n"
    with pytest.raises(MergeError, match="another run is building this output"):
        Store(tmp_path / "out.st").begin(KEY)
    process.kill()
    process.communicate()
    with Store(tmp_path / "out.st", resume=True) as store:
        assert store.begin(KEY).notes["items"] == 2


def test_a_failed_run_leaves_nothing(tmp_path):
    stop_after_saving(tmp_path / "out.st", error=MergeError)
    assert not contents(tmp_path)


def test_a_stopped_run_that_had_saved_nothing_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        use(tmp_path / "out.st", stop)
    assert not contents(tmp_path)


def test_without_resume_an_unfinished_run_is_discarded_and_that_is_said(tmp_path):
    stop_after_saving(tmp_path / "out.st")
    with Store(tmp_path / "out.st") as store:
        assert store.begin(KEY) is None
    assert store.notes == ["an unfinished earlier run to this output was discarded (--resume continues one)"]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ({"model": "another", "options": {"samples": 4}}, "model"),
        ({"model": "another", "options": {"samples": 5}}, "model, options"),
        ({"model": "id"}, "options"),
    ],
)
def test_a_run_of_something_else_is_not_resumed(tmp_path, key, named):
    stop_after_saving(tmp_path / "out.st", key)
    with Store(tmp_path / "out.st", resume=True) as store:
        assert store.begin(KEY) is None
        assert store.notes == [
            f"nothing to resume, so everything was computed anew: what it depends on has changed: {named}"
        ]


def test_nothing_to_resume(tmp_path):
    with Store(tmp_path / "out.st", resume=True) as store:
        assert store.begin(KEY) is None
        assert store.notes == [
            "nothing to resume, so everything was computed anew: no unfinished run to this output was found"
        ]


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\x10\0\0\0\0\0\0\0{}              "])
def test_a_damaged_record_is_no_accident(tmp_path, content):
    stop_after_saving(tmp_path / "out.st")
    (tmp_path / ".out.st.merging" / "journal").write_bytes(content)
    with Store(tmp_path / "out.st", resume=True) as store:
        assert store.begin(KEY) is None
        assert "no unfinished run" in store.notes[0]


def test_an_output_that_exists_is_kept_unless_forced(tmp_path):
    out = tmp_path / "out.st"
    out.write_text("precious")
    with pytest.raises(UsageError, match=r"the output exists \(--force replaces it\)"):
        Store(out)
    use(out, force=True)
    assert out.read_text() == "precious"
    finish(out, force=True)
    assert out.stat().st_size > 4096


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    out = tmp_path / "out.st"
    with pytest.raises(MergeError, match="something appeared there"):
        use(out, lambda store: out.write_text("precious"), complete)
    assert out.read_text() == "precious"


def test_an_input_is_never_the_output(tmp_path):
    (tmp_path / "model.st").write_text("precious")
    (tmp_path / "link.st").symlink_to(tmp_path / "model.st")
    with pytest.raises(UsageError, match="the output is one of the inputs"):
        Store(tmp_path / "link.st", force=True, inputs=[tmp_path / "model.st"])


def test_a_folder_in_the_way(tmp_path):
    with pytest.raises(UsageError, match="a folder stands there, and statistics are a single file"):
        Store(tmp_path, force=True)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MergeError, match="cannot write into this folder"):
        Store(tmp_path / "file" / "out.st").begin(KEY)


def test_types_that_are_none(tmp_path):
    with pytest.raises(UsageError, match=r"--dtype must be float32 or float64, not 'float23' \(did you mean 'float32'"):
        Store(tmp_path / "out.st", dtype="float23")


def test_a_full_disk_is_seen_before_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10})())
    for write in (save, complete):
        with pytest.raises(MergeError, match="10 bytes are free"):
            use(tmp_path / "out.st", write)
    assert not contents(tmp_path)


def test_saves_are_due_after_their_time(tmp_path):
    with Store(tmp_path / "out.st", seconds=0.05) as store:
        store.begin(KEY)
        assert not store.is_due
        time.sleep(0.06)
        assert store.is_due
        store.save(TENSORS, {"items": 1})
        assert not store.is_due
