"""The alignment benchmark trains, matches and prints its tables, and its parts do what they say."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.usefixtures("benchmark_modules")


@pytest.mark.slow
def test_quick_run_prints_every_table():
    command = [sys.executable, BENCHMARKS / "alignment.py", "--quick"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    headings = [line for line in process.stdout.splitlines() if line.startswith("###")]
    assert len(headings) == 6  # no costs
    assert "python benchmarks/alignment.py --quick" in process.stdout
    assert "3 x 512, adam 0.001, 60 epochs, seeds 1 and 2" in process.stdout
    assert process.stdout.count("3 x 512, adam 0.001, 60 epochs, seeds 3 and 4") == 5  # its rows, what is wanted of it
    assert "| planted, noise 0 " in process.stdout


def small_pair(width=16, hidden=2):
    from alignment_networks import Perceptron, digits
    from alignment_pair import Pair

    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(Perceptron(width, hidden).state_dict())
    return Pair(partial(Perceptron, width, hidden), *states, digits(200), points=5)


def test_a_model_with_its_units_in_another_order_is_found_and_leaves_no_barrier():
    from dataclasses import replace

    from alignment_pair import permuted

    from merge.alignment.matching.matched import Matched

    pair = small_pair()
    orders = {
        name: torch.randperm(16, generator=torch.Generator().manual_seed(0)).numpy() for name in pair.groups.groups
    }
    shuffled = permuted(pair.first, pair.groups, Matched(orders, pair.by_weights().report))
    other = replace(pair, second=shuffled)
    assert other.scores()[0] == pytest.approx(other.scores()[1], abs=1e-6)
    for matched in (other.by_weights(), other.by_activations("correlation"), other.by_activations("inner")):
        found = other.aligned(matched)
        assert all(torch.equal(found[name], pair.first[name]) for name in found)
    assert other.path(other.aligned(other.by_weights())).test == pytest.approx(0, abs=1e-6)


def test_a_path_is_scored_where_it_says():
    from alignment_pair import Score

    pair = small_pair()
    path = pair.path(pair.second)
    middle = {name: (one + pair.second[name]) / 2 for name, one in pair.first.items()}
    assert path.middle == pytest.approx(pair.score(middle, pair.data.test), abs=1e-6)
    assert path.train >= 0
    assert path.test >= 0
    network = pair.make()
    network.load_state_dict(pair.first)
    with torch.no_grad():
        logits = network(pair.data.test.pixels)
    right = (logits.argmax(1) == pair.data.test.labels).float().mean().item()
    assert pair.score(pair.first, pair.data.test) == pytest.approx(
        Score(torch.nn.functional.cross_entropy(logits, pair.data.test.labels).item(), right), abs=1e-6
    )


def test_repair_brings_the_middle_to_the_ends():
    pair = small_pair()
    itself = pair.repaired(pair.first)  # batches of 128 that differ a little from the whole
    assert all(torch.allclose(itself[name], pair.first[name], atol=0.03) for name in itself)
    found = pair.repaired(pair.second)
    network = pair.make()
    spreads = []
    for state in (pair.first, pair.second, found):
        network.load_state_dict(state)
        with torch.no_grad():
            spreads.append(network(pair.data.train.pixels).std(0))
    assert torch.allclose(spreads[2], (spreads[0] + spreads[1]) / 2, rtol=0.1)


def test_reset_measures_statistics_anew():
    from alignment_networks import SmallResNet, digits
    from alignment_pair import Pair

    torch.manual_seed(0)
    network = SmallResNet(4, 6)
    pair = Pair(partial(SmallResNet, 4, 6), network.state_dict(), network.state_dict(), digits(100), points=3)
    assert {group.size for group in pair.groups.groups.values()} == {4, 6}
    found = pair.reset(pair.first)
    stem = torch.nn.functional.conv2d(pair.data.train.pixels, pair.first["stem.weight"], padding=1)
    assert torch.allclose(found["norm.running_mean"], stem.mean((0, 2, 3)), atol=1e-5)
    changed = {name.rpartition(".")[2] for name in found if not torch.equal(found[name], pair.first[name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}


def test_planted_orders_are_found_from_anchors_with_noise():
    from alignment_planted import recovered

    assert recovered(0.0, 0, "anchored")
    assert recovered(1.0, 1, "anchored")


def test_cost_is_measured_by_a_process_of_its_own():
    import alignment_cost
    from process_status import held

    case = alignment_cost.CASES[1]
    assert set(alignment_cost.groups_of(case, 2).groups) == {
        "residual",
        *(f"{kind}.{layer}" for kind in ("heads", "qk", "vo", "mlp") for layer in (0, 1)),
    }
    assert held("VmHWM") >= held("VmRSS") > 2**20


def test_verdicts_compare_with_what_is_wanted():
    from alignment_cases import verdicts, wanted

    numbers = {name: limit for name, _, limit in wanted()}
    at_the_limit = {row[0]: row[3] for row in verdicts(numbers)}
    assert at_the_limit["64 / 128, sgd 0.1, weight decay 0.0005, 25 epochs, seeds 3 and 4: aligned, reset"] == "met"
    assert at_the_limit["3 x 128, adam 0.001, 60 epochs, seeds 1 and 2: barrier"] == "NOT met"
    assert set(at_the_limit) == set(numbers)
