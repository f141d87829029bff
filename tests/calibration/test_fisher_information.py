"""Oracle F1: a linear softmax over two inputs, whose Fisher information is known in closed form."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from fisher_case import Case, fisher

from merge.calibration.fisher.job import Job
from merge.calibration.fisher.one_by_one import squares_of_sum
from merge.calibration.fisher.parameters import parameters_of
from merge.calibration.fisher.request import Request
from merge.calibration.fisher.scores import Items

INPUTS = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
LABELS = torch.tensor([2, 0])
EXACT = [(0.0835111669, 0.4561477775), (0.1221031099, 0.5719236066), (0.0835111669, 0.4175558344)]
EMPIRICAL = [(0.0224596119, 0.1796768954), (0.1659553325, 0.6862809417), (0.3105180543, 1.2645318291)]
SQUARE_OF_THE_MEAN = [(0.0112298060, 0.1796768954), (0.0829776662, 0.2210373609), (0.1552590272, 0.7992882483)]


def linear():
    module = torch.nn.Linear(2, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]]))
    return module


@pytest.fixture
def case():
    return Case(linear(), {"x": INPUTS}, LABELS)


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("labels", "expected"), [("exact", EXACT), ("auto", EXACT), ("empirical", EMPIRICAL)])
def test_the_mean_over_both_inputs(case, tmp_path, labels, expected):
    tensors, facts = fisher(case, tmp_path / "out.st", labels=labels)
    close(tensors["weight"], expected)
    assert facts.about["labels"] == ("exact" if labels == "auto" else labels)
    assert facts.data_use == ("labels" if labels == "empirical" else "unlabeled")


def test_the_closed_form(case, tmp_path):
    tensors, _ = fisher(case, tmp_path / "out.st")
    p = (INPUTS @ case.module.weight.detach().T).softmax(1)
    expected = torch.einsum("nc,nd->cd", p * (1 - p), INPUTS**2) / 2
    close(tensors["weight"], expected.tolist())
    assert tensors["weight"].norm().item() == pytest.approx(0.8592890554, abs=1e-9)


def test_the_square_of_the_mean_gradient_is_something_else(case, tmp_path):
    loss = torch.nn.functional.cross_entropy(case.module(INPUTS), LABELS)
    (gradient,) = torch.autograd.grad(loss, [case.module.weight])
    close(gradient**2, SQUARE_OF_THE_MEAN)
    tensors, _ = fisher(case, tmp_path / "out.st", labels="empirical")
    assert (tensors["weight"] - gradient**2).abs().max() > 0.1


def test_squares_of_summed_gradients_are_right_on_average_over_all_labels(case):
    subject = case.subject()
    job = Job(subject, parameters_of(subject), Request("empirical", True, False, False, 3, 0))
    p = case.module(INPUTS).detach().softmax(1)
    total = torch.zeros(3, 2, dtype=torch.float64)
    for one, other in product(range(3), repeat=2):
        items = Items({"x": INPUTS}, torch.ones(2, 1, dtype=torch.bool), torch.tensor([[one], [other]]))
        total += p[0, one] * p[1, other] * squares_of_sum(job, items, 0)["weight"]
    close(total / 2, EXACT)
