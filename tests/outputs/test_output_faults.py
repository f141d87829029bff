"""What goes wrong with an output in a bucket: nothing of it is seen, nothing is left, and the next run works."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import save
from command_line import Result, assert_refused, run, start
from faulty_s3 import Fault, FaultyS3
from output_models import assert_like, random_matrix, stored, uploads

Cli = Callable[..., Result]
Models = tuple[Path, Path]
PART = ("partNumber=2",)
COMPLETE = ("uploadId=",)


def assert_nothing(bucket: Any) -> None:
    """Assert that the bucket is empty, of what is seen and of what is not."""
    assert stored(bucket, "") == {}
    assert uploads(bucket) == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", PART, "InternalError", 500, times=2),
        Fault("PUT", PART, "SlowDown", 503, times=2),
        Fault("PUT", PART, "drop", times=2),
        Fault("PUT", PART, "lose"),
        Fault("POST", ("uploads",), "InternalError", 500),
        Fault("POST", COMPLETE, "InternalError", 500, times=2),
        Fault("POST", COMPLETE, "lose"),
        Fault("PUT", (".out.merging",), "lose"),
        Fault("PUT", ("config.json",), "drop"),
    ],
    ids=lambda fault: f"{fault.code}-{fault.method}-{fault.words[0]}",
)
def test_failures_that_pass(
    s3_server: FaultyS3, bucket: Any, models: Models, here: Path, cli: Cli, fault: Fault
) -> None:
    assert cli("soup", *models, "-o", "local", "--quiet").code == 0
    s3_server.faults = [Fault(**vars(fault))]
    found = cli("soup", *models, "-o", "s3://place/out", "--quiet")
    assert found.code == 0, found.err
    assert s3_server.faults[0].times == 0
    assert_like(stored(bucket, "out"), here / "local")
    assert uploads(bucket) == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("PUT", ("partNumber=3",), "AccessDenied", 403, times=99), "the store refuses to write it"),
        (Fault("PUT", ("partNumber=3",), "drop", times=99), "3 times in a row"),
        (Fault("PUT", ("partNumber=1",), "ServiceUnavailable", 503, times=99), "3 times in a row"),
        (Fault("POST", COMPLETE, "AccessDenied", 403, times=99, first=1), "the store refuses to write it"),
        (Fault("PUT", ("README.md",), "AccessDenied", 403, times=99), "the store refuses to write it"),
        (Fault("PUT", ("config.json",), "drop", times=99), "3 times in a row"),
    ],
    ids=lambda value: f"{value.code}-{value.words[0]}" if isinstance(value, Fault) else "",
)
def test_failures_that_stay_leave_nothing(
    s3_server: FaultyS3, bucket: Any, models: Models, here: Path, cli: Cli, fault: Fault, words: str
) -> None:
    s3_server.faults = [Fault(**vars(fault))]
    found = cli("soup", *models, "-o", "s3://place/out", "--quiet", "--max-shard-size", "300KB")
    assert_refused(found, 1, "s3://place/out", words)
    assert_nothing(bucket)
    s3_server.well()
    assert cli("soup", *models, "-o", "s3://place/out", "--quiet").code == 0


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("words", [("partNumber=1",), COMPLETE])
def test_a_former_output_stays_when_the_new_one_is_refused(
    s3_server: FaultyS3, bucket: Any, models: Models, here: Path, cli: Cli, words: tuple[str, ...]
) -> None:
    assert cli("soup", *models, "-o", "s3://place/out", "--quiet", "--max-shard-size", "300KB").code == 0
    assert cli("soup", *models, "-o", "s3://place/one.st", "--quiet").code == 0
    before = stored(bucket, "")
    method = "PUT" if words[0].startswith("part") else "POST"
    for out in ("out", "one.st"):
        s3_server.faults = [Fault(method, words, "AccessDenied", 403, times=99)]
        found = cli("slerp", *models, "-o", f"s3://place/{out}", "--quiet", "--force", "--t", "0.1")
        assert_refused(found, 1, "the store refuses to write it")
    assert stored(bucket, "") == before
    assert uploads(bucket) == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("fault", [("DELETE", "model-00001-of"), ("PUT", "tokenizer.json")])
def test_small_files_that_are_refused_when_the_weights_are_replaced(
    s3_server: FaultyS3, bucket: Any, models: Models, here: Path, cli: Cli, fault: tuple[str, str]
) -> None:
    assert cli("soup", *models, "-o", "s3://place/out", "--quiet", "--max-shard-size", "300KB").code == 0
    s3_server.faults = [Fault(fault[0], fault[1:], "AccessDenied", 403, times=99)]
    found = cli("slerp", *models, "-o", "s3://place/out", "--quiet", "--force", "--t", "0.1")
    assert_refused(found, 1, "the former output is half replaced", "--force")
    assert "config.json" not in stored(bucket, "out")
    s3_server.well()
    assert cli("slerp", *models, "-o", "s3://place/out", "--quiet", "--force", "--t", "0.1").code == 0


@pytest.mark.usefixtures("small_parts")
def test_a_file_that_somebody_puts_into_a_folder_that_is_replaced(
    bucket: Any, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from merge.checkpoints.remote.writing.sink import ObjectSink

    assert cli("soup", *models, "-o", "s3://place/out", "--quiet").code == 0
    before = ObjectSink.finish

    def finish(self: Any, *arguments: Any, **more: Any) -> None:
        before(self, *arguments, **more)
        bucket.pipe_file("place/out/thesis.txt", b"mine")

    monkeypatch.setattr(ObjectSink, "finish", finish)
    assert cli("soup", *models, "-o", "s3://place/out", "--quiet", "--force").code == 0
    assert stored(bucket, "out")["thesis.txt"] == b"mine"


@pytest.mark.usefixtures("small_parts")
def test_a_former_output_that_is_half_replaced_loads_nowhere(
    s3_server: FaultyS3, bucket: Any, models: Models, here: Path, cli: Cli
) -> None:
    shards = ("--quiet", "--max-shard-size", "300KB")
    assert cli("soup", *models, "-o", "s3://place/out", *shards).code == 0
    s3_server.faults = [Fault("POST", COMPLETE, "AccessDenied", 403, times=99, first=1)]
    found = cli("slerp", *models, "-o", "s3://place/out", *shards, "--force", "--t", "0.1")
    assert_refused(found, 1, "the former output is half replaced", "--force")
    assert not {"config.json", "model.safetensors.index.json"} & stored(bucket, "out").keys()
    s3_server.well()
    assert cli("inspect", "s3://place/out").code != 0
    assert cli("slerp", *models, "-o", "s3://place/out", *shards, "--force", "--t", "0.1").code == 0


def test_an_input_that_changes_leaves_nothing(
    bucket: Any, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from merge.checkpoints.remote.writing.sink import ObjectSink

    write = ObjectSink.write

    def write_and_touch(self: Any, *arguments: Any) -> None:
        write(self, *arguments)
        os.utime(models[0] / "model.safetensors", (1, 1))

    monkeypatch.setattr(ObjectSink, "write", write_and_touch)
    assert_refused(cli("soup", *models, "-o", "s3://place/out", "--quiet"), 1, "the file changed while it was read")
    assert_nothing(bucket)


def test_an_interrupt_leaves_nothing(
    bucket: Any, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from merge.checkpoints.remote.writing.sink import ObjectSink

    def interrupt(self: Any, *arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ObjectSink, "sent", interrupt)
    assert cli("soup", *models, "-o", "s3://place/out", "--quiet").code == 130
    assert_nothing(bucket)


@pytest.mark.usefixtures("small_parts")
def test_a_bucket_that_may_not_be_written_is_found_first(
    s3_server: FaultyS3, bucket: Any, models: Models, here: Path, cli: Cli
) -> None:
    for folder in models:
        bucket.put(str(folder), f"place/{folder.name}", recursive=True)
    s3_server.seen.clear()
    s3_server.faults = [Fault("POST", ("uploads",), "AccessDenied", 403, times=99)]
    found = cli("soup", "s3://place/a", "s3://place/b", "-o", "s3://place/out", "--quiet")
    assert_refused(found, 1, "the store refuses to write it", "s3:PutObject")
    assert sum("GET /place/a/model.safetensors" in one for one in s3_server.seen) <= 1  # its header


def test_credentials_that_are_missing(
    bucket: Any, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(here / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(here / "none"))
    assert_refused(cli("soup", *models, "-o", "s3://place/out"), 1, "there are no credentials", "AWS_ACCESS_KEY_ID")


def test_a_lock_that_another_machine_holds(bucket: Any, models: Models, here: Path, cli: Cli) -> None:
    bucket.pipe_file("place/.out.merging", b'{"host": "far", "pid": 7}')
    for more in ([], ["--force"]):
        found = cli("soup", *models, "-o", "s3://place/out", *more)
        assert_refused(found, 1, "another run is building this output", "process 7 on far", "s3://place/.out.merging")
    bucket.rm("place/.out.merging")
    assert cli("soup", *models, "-o", "s3://place/out", "--quiet").code == 0


def test_a_lock_of_a_process_that_runs(bucket: Any, models: Models, here: Path, cli: Cli) -> None:
    from merge.checkpoints.remote.writing import lock

    holder = json.dumps({**lock._this_process(), "token": "another"}).encode()
    bucket.pipe_file("place/.out.merging", holder)
    found = cli("soup", *models, "-o", "s3://place/out")
    assert_refused(found, 1, "another run is building this output", f"process {os.getpid()} on {socket.gethostname()}")
    assert stored(bucket, "") == {".out.merging": holder}


@pytest.mark.usefixtures("small_parts")
def test_a_lock_that_is_taken_away(
    bucket: Any, models: Models, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from merge.checkpoints.remote.writing.sink import ObjectSink

    sent = ObjectSink.sent
    before = ObjectSink.finish

    def finish(self: Any, *arguments: Any, **more: Any) -> None:
        before(self, *arguments, **more)
        bucket.pipe_file("place/.out.merging", b"{}")

    monkeypatch.setattr(ObjectSink, "finish", finish)
    found = cli("soup", *models, "-o", "s3://place/out", "--quiet")
    assert_refused(found, 1, "somebody removed the lock of this run")
    assert stored(bucket, "") == {".out.merging": b"{}"}
    assert sent is ObjectSink.sent


def test_a_run_that_is_killed(s3_server: FaultyS3, bucket: Any, here: Path) -> None:
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", {"w": random_matrix(seed)})
    arguments = ("soup", "a.st", "b.st", "-o", "s3://place/out.st", "--quiet")
    s3_server.faults = [Fault("PUT", ("partNumber=2",), "hang")]
    process = start(*arguments, cwd=here)
    until = time.monotonic() + 60
    while s3_server.faults[0].times and time.monotonic() < until:
        time.sleep(0.05)
    second = run(*arguments, cwd=here)
    assert_refused(second, 1, "another run is building this output", f"process {process.pid} on")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert stored(bucket, "").keys() == {".out.st.merging"}
    assert len(uploads(bucket)) == 1
    s3_server.well()
    third = run(*arguments[:-1], cwd=here)
    assert third.code == 0, third.err
    assert "an unfinished earlier run to this output was discarded\n" in third.out  # nothing there can be resumed
    assert uploads(bucket) == []
    assert run("soup", "a.st", "b.st", "-o", "local.st", cwd=here).code == 0
    assert bucket.cat_file("place/out.st") == (here / "local.st").read_bytes()
    assert stored(bucket, "").keys() == {"out.st", "out.st.md"}
