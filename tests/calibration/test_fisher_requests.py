"""What cannot be asked of a model, and what goes wrong while it runs."""

from __future__ import annotations

import pytest
import torch
from fisher_case import Case, fisher

from merge.calibration.fisher import memory, request
from merge.errors import MergeError, UsageError


def linear(classes=3, **more):
    torch.manual_seed(0)
    return Case(torch.nn.Linear(2, classes), {"x": torch.randn(4, 2)}, **more)


def writer(classes=5, labels=None):
    torch.manual_seed(0)
    labels = torch.zeros(4, 3, dtype=torch.long) if labels is None else labels
    return Case(torch.nn.Embedding(7, classes), {"x": torch.arange(12).reshape(4, 3) % 7}, labels, "tokens")


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        (linear(), {"gradients": "summed", "labels": "exact"}, "summed gradients need sampled labels, not exact"),
        (linear(), {"gradients": "summed", "labels": "empirical"}, "summed gradients need sampled labels"),
        (linear(), {"per": "token"}, "'per: token' is for models that predict tokens"),
        (linear(predicts="nothing"), {}, "no head"),
        (linear(1), {}, "its Fisher information is 0"),
        (linear(), {"labels": "empirical"}, "the data has no labels"),
        (writer(65), {"labels": "exact"}, "one backward pass for each of 65 tokens at every position"),
    ],
)
def test_wrong_requests(case, options, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        fisher(case, tmp_path / "out.st", **options)
    assert not list(tmp_path.iterdir())


def test_options_are_checked_before_anything_is_built(tmp_path):
    case = linear()
    case.subject = lambda *_: pytest.fail("the network was built")
    with pytest.raises(UsageError, match="summed"):
        fisher(case, tmp_path / "out.st", gradients="summed", labels="exact")


def test_what_the_model_cannot_do_is_checked_before_data_are_read(tmp_path):
    case = linear(predicts="nothing")
    case.sample = lambda *_: pytest.fail("data were read")
    with pytest.raises(UsageError, match="no head"):
        fisher(case, tmp_path / "out.st")


@pytest.mark.parametrize(("classes", "labels"), [(64, "exact"), (65, "sampled")])
def test_labels_by_the_number_of_classes(classes, labels, tmp_path):
    assert fisher(linear(classes), tmp_path / "out.st")[1].about["labels"] == labels


def test_exact_labels_of_many_classes_on_request(tmp_path):
    assert fisher(linear(65), tmp_path / "out.st", labels="exact")[1].about["labels"] == "exact"


def test_summed_gradients_choose_sampled_labels(tmp_path):
    about = fisher(linear(), tmp_path / "out.st", gradients="summed")[1].about
    assert (about["labels"], about["gradients"]) == ("sampled", "summed")


def test_the_empirical_fisher_comes_with_a_warning(tmp_path):
    notes = []
    fisher(linear(labels=torch.tensor([0, 1, 2, 0])), tmp_path / "out.st", labels="empirical", notes=notes)
    assert notes[0].startswith("warning: with the data's own labels this is the empirical Fisher")


@pytest.mark.parametrize("label", [3, -1, -100])
def test_a_label_that_the_model_does_not_have(label, tmp_path):
    case = linear(labels=torch.tensor([0, 1, label, 0]))
    with pytest.raises(MergeError, match=f"item 2 of the data has the label {label}, and the model has 3 classes"):
        fisher(case, tmp_path / "out.st", labels="empirical")


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("options", [{"labels": "exact"}, {"gradients": "summed"}])
def test_logits_that_are_not_finite(options, batch_size, tmp_path):
    case = linear()
    case.inputs["x"][3, 0] = float("nan")
    with pytest.raises(MergeError, match=r"^model: .* not finite .*, first at item 3 of the data"):
        fisher(case, tmp_path / "out.st", batch_size=batch_size, **options)
    assert not list(tmp_path.iterdir())


def test_a_gradient_that_is_not_finite(tmp_path):
    class Root(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) + self.bias.abs().sqrt()

    case = Case(Root(2, 3), {"x": torch.randn(4, 2)})
    with torch.no_grad():
        case.module.bias.zero_()
    with pytest.raises(MergeError, match=r"^model: the gradient of 'bias' is not finite .* at items 0 to"):
        fisher(case, tmp_path / "out.st")


def test_logits_without_gradients(tmp_path):
    case = linear()
    case.forward = lambda inputs: case.module(inputs["x"]).detach()
    with pytest.raises(MergeError, match="do not depend on the parameters"):
        fisher(case, tmp_path / "out.st")


@pytest.mark.parametrize("make", [lambda x: x[..., 0], lambda x: x[None], lambda x: x[:, :, None, None]])
def test_logits_of_another_shape(make, tmp_path):
    case = linear()
    case.forward = lambda inputs: make(case.module(inputs["x"]))
    with pytest.raises(MergeError, match=r"logits \[.*\] for one item, where \[1, classes\] is expected"):
        fisher(case, tmp_path / "out.st")


def test_logits_for_another_number_of_positions(tmp_path):
    case = writer(labels=torch.zeros(4, 2, dtype=torch.long))
    with pytest.raises(MergeError, match=r"logits \[1, 3, 5\] for one item, where \[1, 2, vocabulary\]"):
        fisher(case, tmp_path / "out.st")


def test_a_network_without_parameters(tmp_path):
    case = linear()
    case.names = {"elsewhere": "nothing"}
    with pytest.raises(MergeError, match="no tensor of the checkpoint is a trainable parameter"):
        fisher(case, tmp_path / "out.st")


def test_a_model_too_large_for_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 100)
    with pytest.raises(MergeError, match=r"sums of squared gradients need 0\.0 GB of memory"):
        fisher(linear(), tmp_path / "out.st")


def test_texts_without_anything_to_predict_count_as_texts(tmp_path):
    labels = torch.zeros(4, 3, dtype=torch.long)
    whole, _ = fisher(writer(labels=labels[:2]), tmp_path / "out.st", samples=2)
    labels[2:] = -100
    half, facts = fisher(writer(labels=labels), tmp_path / "out.st")
    torch.testing.assert_close(half["weight"], whole["weight"] / 2)
    assert facts.about["positions"] == 6
    by_token, _ = fisher(writer(labels=labels), tmp_path / "out.st", per="token")
    torch.testing.assert_close(by_token["weight"], half["weight"] * 4 / 6)


def test_the_border_is_that_of_the_documentation():
    assert request.EXACT_CLASSES == 64
