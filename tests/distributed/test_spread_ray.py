"""Evaluation, calibration and search on a cluster of processes on this machine, one of whose nodes is lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import functions_to_call
import pytest
from command_line import assert_refused, contents
from functions_to_call import at_node

from merge.distributed.spreading import Spreading, crew, spread

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="Ray's test cluster needs Linux"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def flags(cluster) -> tuple[str, ...]:
    return ("--engine", "ray", "--address", cluster.address)


def test_the_same_rows(cli, classifiers_here, flags):
    found = []
    for more in ((), flags):
        result = cli("eval", "one", "two", "--benchmark", "first.yaml", "--threads", 1, "--json", "--quiet", *more)
        assert result.code == 0, result.err
        found.append(json.loads(result.out) | {"timings": None})
    assert found[0] == found[1]


def test_the_same_statistics(cli, classifiers_here, flags):
    for name, more in {"alone.st": (), "ray.st": flags}.items():
        arguments = ("regmean", "one", "two", "--data", "first.yaml", "--samples", 8, *more, "-o", name)
        assert cli(*arguments).code == 0
    assert contents(Path("alone.st.statistics")) == contents(Path("ray.st.statistics"))
    assert Path("alone.st").read_bytes() == Path("ray.st").read_bytes()


def test_the_same_trials(cli, classifiers_here, flags):
    Path("r.yaml").write_text("merge: slerp\noptions: {t: {search: [0, 1]}}\nmodels: [one, two]\n")
    found = []
    for name, more in {"alone": (), "ray": flags}.items():
        files = ("--trials-file", f"{name}.jsonl", "--recipe-out", f"{name}.yaml")
        result = cli("search", "r.yaml", "--benchmark", "first.yaml", "--trials", 5, *files, "--json", *more)
        assert result.code == 0, result.err
        found.append(json.loads(result.out)["search"] | {"recipe": None})
    assert found[0] == found[1]
    assert Path("alone.jsonl").read_bytes() == Path("ray.jsonl").read_bytes()
    assert not ray.is_initialized()


def test_what_a_machine_finds_wrong(cli, classifiers_here, flags):
    result = cli("eval", "one", "--benchmark", "first.yaml", "--model", "nothing.py:Net", *flags)
    assert_refused(result, 2, "nothing.py", "(seen from ")


def test_more_processors_than_any_machine_has(cli, classifiers_here, flags):
    result = cli("eval", "one", "--benchmark", "first.yaml", "--threads", 64, *flags)
    assert_refused(result, 2, "no machine of the cluster has 64 processors for one task", "give --threads 1, or fewer")
    assert not ray.is_initialized()


def test_a_node_is_lost(cluster, tmp_path):
    """Last of all, since the node does not come back."""
    ray.cloudpickle.register_pickle_by_value(functions_to_call)  # the machines cannot import what only tests have
    lost, found = cluster.workers[0], {}
    calls = [(str(tmp_path), number, lost.node_id) for number in range(8)]
    with crew(Spreading(engine="ray", address=cluster.address)) as members:
        for number, name in members.make(at_node, calls):
            found[number] = name
            if lost in cluster.worker_nodes and list(tmp_path.glob(f"{lost.node_id} *")):
                cluster.remove_node(lost, allow_graceful=False)
    assert found == {number: f"call {number}" for number in range(8)}
    begun, again = ({path.name.split()[1] for path in tmp_path.glob(f"{node.node_id} *")} for node in cluster.workers)
    assert begun  # and came to no end there
    assert begun <= again


def test_no_such_cluster(here):
    from merge.errors import MergeError

    with pytest.raises(MergeError, match=r"127\.0\.0\.1:1: cannot connect to the cluster"):
        list(spread(at_node, [(str(here), 0, "")], Spreading(engine="ray", address="127.0.0.1:1")))
