"""Other processes that fill whole files of an output in a bucket."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from output_models import stored, uploads

from merge.checkpoints.address import Address
from merge.checkpoints.remote.writing.object_building import ObjectBuilding
from merge.checkpoints.remote.writing.sink import ObjectSink
from merge.engine import RunSettings, run
from merge.plan import Plan, make_plan
from merge.provenance import metadata
from merge.recipe import Merge, Model, Output, Recipe

pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.fixture
def plan(models: tuple[Path, Path]) -> Plan:
    """A plan with several shards."""
    merge = Merge("soup", tuple(Model(str(path)) for path in models))
    return make_plan(Recipe(merge, output=Output(Address("s3://place/out"), max_shard_size=200_000)))


class _Some:
    """Passes on what is written to some of the files."""

    def __init__(self, sinks: dict[int, Any]) -> None:
        self._sinks = sinks

    def write(self, row: Any, offset: int, buffer: memoryview) -> None:
        self._sinks[row.file].write(row, offset, buffer)


def _begun(plan: Plan) -> tuple[ObjectBuilding, ObjectSink]:
    building = ObjectBuilding(Address("s3://place/out"), is_folder=True)
    building.open(resume=False)
    return building, building.sink(plan.files, metadata(plan), keep=False)


def test_files_from_two_processes_are_one_output(bucket: Any, plan: Plan, here: Path, cli: Any) -> None:
    assert cli("soup", "a", "b", "-o", "local", "--max-shard-size", "200KB", "--quiet").code == 0
    building, sink = _begun(plan)
    assert sink.whole_files
    helper = pickle.loads(pickle.dumps(sink.elsewhere()))(plan)
    last = len(plan.files) - 1
    assert last > 1
    outcome = run(plan, _Some(dict.fromkeys(range(last), sink) | {last: helper}), RunSettings())
    handed = pickle.loads(pickle.dumps(helper.hand_over()))
    assert [one.file for one in handed] == [last]
    assert helper.hand_over() == []
    helper.close()
    sink.take(handed)
    sink.finish(metadata(plan, outcome.input_ids, outcome.output_id), sync=False)
    sink.close()
    building.commit(replace=False, sync=False)
    found = stored(bucket, "out")
    assert found == {name: (here / "local" / name).read_bytes() for name in found}
    assert len(found) == len(plan.files)
    assert uploads(bucket) == []


def test_a_file_that_comes_twice_and_one_that_is_lost_leave_no_upload(bucket: Any, plan: Plan) -> None:
    building, sink = _begun(plan)
    opener = sink.elsewhere()
    first, second, lost = opener(plan), opener(plan), opener(plan)
    for helper in (first, second, lost):
        run(plan, helper, RunSettings())
    sink.take(first.hand_over())
    sink.take(second.hand_over())
    first.close()
    second.close()
    for number in range(len(plan.files)):
        assert sink._uploads[number].is_whole
    assert len(uploads(bucket)) == 2 * len(plan.files)  # of the second and of the one that is lost
    sink.close()
    building.close()
    assert uploads(bucket) == []
    assert stored(bucket, "") == {}


def test_what_a_helper_does_not_hand_over_it_gives_up(bucket: Any, plan: Plan) -> None:
    building, sink = _begun(plan)
    helper = sink.elsewhere()(plan)
    run(plan, helper, RunSettings())
    assert len(uploads(bucket)) == len(plan.files)
    helper.close()
    assert uploads(bucket) == []
    sink.close()
    building.close()
