"""Fisher information of every kind of model, each against backward passes one after another."""

from __future__ import annotations

import pytest
import torch
from fisher_case import Case, fisher, plain_loop

from merge.calibration.declared import FisherCalibration
from merge.calibration.fisher import compute_fisher
from merge.calibration.storing import Store
from merge.calibration.subject import IGNORED
from merge.errors import MergeError
from merge.evaluation.candidate import Candidate
from merge.evaluation.task import Settings

ITEMS, LENGTH = 5, 6


def logits_of(module):
    return lambda inputs: module(**inputs).logits


def pixels(channels, size):
    return torch.randn(ITEMS, channels, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def tokens(seed=0):
    from tiny_language_models import vocabulary_size

    return torch.randint(7, vocabulary_size(), (ITEMS, LENGTH), generator=torch.Generator().manual_seed(seed))


def vit():
    from tiny_models import make_classifier

    module = make_classifier(0, initializer_range=0.5).double()
    return Case(module, {"pixel_values": pixels(1, 8)}, torch.arange(ITEMS) % 3, forward=logits_of(module))


def timm_vit():
    import timm

    torch.manual_seed(0)
    module = timm.models.VisionTransformer(8, 4, 3, num_classes=3, embed_dim=8, depth=1, num_heads=2).double()
    return Case(module, {"pixels": pixels(3, 8)}, torch.arange(ITEMS) % 3)


def convolutions():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(inplace=True), torch.nn.Flatten()]
    module = torch.nn.Sequential(*layers, torch.nn.Dropout(0.5), torch.nn.Linear(144, 3)).double()
    return Case(module, {"pixels": pixels(1, 8)}, torch.arange(ITEMS) % 3)


def tower_with_head():
    import open_clip.transformer

    torch.manual_seed(0)
    module = open_clip.transformer.VisionTransformer(8, 4, 8, 1, 2, 2.0, output_dim=6).double()
    head = torch.randn(6, 4, dtype=torch.float64)

    def forward(inputs):
        features = module(inputs["pixels"])
        return 10 * torch.nn.functional.normalize(features, dim=-1) @ torch.nn.functional.normalize(head, dim=0)

    return Case(module, {"pixels": pixels(3, 8)}, torch.arange(ITEMS) % 4, forward=forward)


def sequences():
    from tiny_language_models import make_bert

    module = make_bert("BertForSequenceClassification", num_labels=3).double()
    inputs = {"input_ids": tokens(), "attention_mask": torch.ones(ITEMS, LENGTH, dtype=torch.long)}
    return Case(module, inputs, torch.arange(ITEMS) % 3, forward=logits_of(module))


def following(input_ids):
    """The token that each position has to predict; one fewer than there are, and fewer in some rows."""
    labels = torch.cat([input_ids[:, 1:], torch.full((ITEMS, 1), IGNORED)], 1)
    labels[1, :2] = IGNORED
    return labels


def text_case(module, labels, **more):
    inputs = {"input_ids": tokens(), "attention_mask": torch.ones(ITEMS, LENGTH, dtype=torch.long)} | more
    return Case(module.double(), inputs, labels, "tokens", logits_of(module))


def gpt2():
    from tiny_language_models import make_gpt2

    return text_case(make_gpt2(), following(tokens()))


def llama():
    from tiny_language_models import make_llama

    return text_case(make_llama(), following(tokens()))


def masked():
    from tiny_language_models import make_bert

    labels = torch.full((ITEMS, LENGTH), IGNORED)
    labels[:, 2::2] = tokens()[:, 2::2]
    case = text_case(make_bert(), labels)
    case.inputs["input_ids"] = case.inputs["input_ids"].clone().masked_fill_(labels != IGNORED, 4)
    return case


def t5():
    from tiny_language_models import make_t5

    return text_case(make_t5(), tokens(1), decoder_input_ids=tokens(2))


CLASSIFIERS = [vit, timm_vit, convolutions, tower_with_head, sequences]
WRITERS = [gpt2, llama, masked, t5]


def same(found, expected, facts):
    assert set(found) | set(facts.aliases) >= set(expected)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-14)
    assert sum(float(tensor.sum()) for tensor in found.values()) > 0


@pytest.mark.parametrize("labels", ["exact", "sampled", "empirical"])
@pytest.mark.parametrize("make", CLASSIFIERS)
def test_classifiers(make, labels, tmp_path):
    case = make()
    found, facts = fisher(case, tmp_path / "out.st", labels=labels, seed=3)
    same(found, plain_loop(case, labels, seed=3), facts)
    assert facts.about["by"] == "torch.func"
    assert facts.about["samples"] == ITEMS


@pytest.mark.parametrize("per", ["example", "token"])
@pytest.mark.parametrize("labels", ["sampled", "empirical"])
@pytest.mark.parametrize("make", WRITERS)
def test_models_that_predict_tokens(make, labels, per, tmp_path):
    case = make()
    found, facts = fisher(case, tmp_path / "out.st", labels=labels, per=per, seed=3)
    same(found, plain_loop(case, labels, seed=3, per=per), facts)
    assert facts.about["by"] == "torch.func"
    assert facts.about["normalized_per"] == per
    assert facts.about["positions"] == int((case.labels != IGNORED).sum())


def test_tokens_are_sampled_unless_told_otherwise(tmp_path):
    automatic, facts = fisher(gpt2(), tmp_path / "out.st")
    sampled, _ = fisher(gpt2(), tmp_path / "out.st", labels="sampled")
    assert facts.about["labels"] == "sampled"
    assert all(torch.equal(automatic[name], sampled[name]) for name in sampled)


def test_exact_expectation_over_the_tokens_of_a_small_vocabulary(tmp_path):
    found, facts = fisher(gpt2(), tmp_path / "out.st", labels="exact", samples=2)
    small = gpt2()
    small.inputs = {name: tensor[:2] for name, tensor in small.inputs.items()}
    same(found, plain_loop(small, "exact"), facts)


def test_tied_weights_are_one_tensor_with_another_name(tmp_path):
    found, facts = fisher(gpt2(), tmp_path / "out.st")
    assert facts.aliases == {"lm_head.weight": "transformer.wte.weight"}
    assert "lm_head.weight" not in found
    # Most tokens do not occur in the texts: only as something to predict do they get a gradient.
    unseen = sorted(set(range(7, 60)) - set(tokens().flatten().tolist()))
    assert found["transformer.wte.weight"][unseen].abs().sum(1).min() > 0


def test_padding_on_either_side_changes_nothing(tmp_path):
    case = llama()
    whole, _ = fisher(case, tmp_path / "out.st")

    def padded(side):
        def fill(tensor, value):
            parts = [tensor, torch.full((ITEMS, 3), value)]
            return torch.cat(parts if side == "right" else parts[::-1], 1)

        ids, mask = fill(tokens(), 0), fill(torch.ones(ITEMS, LENGTH, dtype=torch.long), 0)
        more = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} | {"input_ids": ids, "attention_mask": mask}
        return Case(case.module, more, fill(following(tokens()), IGNORED), "tokens", case.forward)

    for side in ("right", "left"):
        found, _ = fisher(padded(side), tmp_path / "out.st")
        for name, tensor in whole.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-14)


def test_texts_of_different_lengths_go_one_by_one(tmp_path):
    case = llama()
    case.inputs["attention_mask"][1, 4:] = 0
    case.labels[1, 3:] = IGNORED
    found, facts = fisher(case, tmp_path / "out.st")
    same(found, plain_loop(case, "sampled"), facts)
    assert (facts.about["by"], facts.about["items_at_a_time"]) == ("backward passes", 1)


def test_a_padded_text_further_on_goes_one_by_one_by_itself(tmp_path):
    case = llama()
    case.inputs["attention_mask"][3, 4:] = 0
    case.labels[3, 3:] = IGNORED
    found, facts = fisher(case, tmp_path / "out.st", batch_size=2)
    same(found, plain_loop(case, "sampled"), facts)
    assert facts.about["by"] == "torch.func"


class Branching(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


class InPlace(torch.nn.Linear):
    def forward(self, x):
        kept = torch.zeros(len(x), 2, dtype=x.dtype)
        kept[:, 0] = x[:, 0]
        kept[:, 1].copy_(x[:, 1] ** 2)
        return super().forward(kept)


class Numpy(torch.nn.Linear):
    def forward(self, x):
        return super().forward(torch.from_numpy(x.numpy() * 2))


class Batchwise(torch.nn.Linear):
    """Computes something else where it is run by `torch.func`: it must not be trusted there."""

    def forward(self, x):
        return super().forward(x) * (3 if torch._C._functorch.is_functorch_wrapped_tensor(x) else 1)


@pytest.mark.parametrize("kind", [Branching, InPlace, Numpy, Batchwise])
def test_networks_that_cannot_be_run_together(kind, tmp_path):
    torch.manual_seed(0)
    case = Case(kind(2, 3, dtype=torch.float64), {"x": torch.randn(7, 2, dtype=torch.float64)})
    found, facts = fisher(case, tmp_path / "out.st", labels="exact")
    same(found, plain_loop(case, "exact"), facts)
    assert facts.about["by"] == "backward passes"


def test_the_users_own_class_from_a_file(tmp_path):
    from merge.evaluation.model_name import parse_model_name
    from merge.evaluation.networks.own_class import make_own

    code = "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    code += "        self.inner = torch.nn.Linear(4, 5)\n        self.head = torch.nn.Linear(5, 3)\n"
    code += "    def forward(self, x):\n        return self.head(self.inner(x.flatten(1)).tanh())\n"
    (tmp_path / "net.py").write_text(code)
    torch.manual_seed(0)
    module = make_own(parse_model_name(f"{tmp_path / 'net.py'}:Net", "--model")).double()
    case = Case(module, {"x": pixels(1, 2)})
    found, facts = fisher(case, tmp_path / "out.st")
    same(found, plain_loop(case, "exact"), facts)


def test_frozen_parameters_and_buffers_are_left_out(tmp_path):
    case = convolutions()
    subject = case.subject()
    case.module[0].weight.requires_grad_(False)
    case.subject = lambda *_: subject
    found, _ = fisher(case, tmp_path / "out.st")
    assert sorted(found) == ["0.bias", "1.bias", "1.weight", "5.bias", "5.weight"]


def test_the_file_says_why_tensors_have_no_information(tmp_path):
    case = convolutions()
    state = dict(case.module.state_dict()) | {"fused": torch.ones(2)}
    candidate = Candidate("model", state, None, "id")
    with Store(tmp_path / "out.st") as store:
        facts = compute_fisher(candidate, case, FisherCalibration(samples=2), Settings(), store)
    buffers = {"1.running_mean": "not trained", "1.running_var": "not trained"}
    assert facts.about["left_out"] == {"fused": "without a place of its own in the network", **buffers}


def test_a_parameter_that_nothing_depends_on_is_zero_and_named(tmp_path):
    class Extra(torch.nn.Linear):
        def __init__(self):
            super().__init__(2, 3)
            self.unused = torch.nn.Parameter(torch.ones(4))

    notes = []
    found, _ = fisher(Case(Extra(), {"x": torch.randn(4, 2)}), tmp_path / "out.st", notes=notes)
    assert not found["unused"].any()
    assert "1 tensors have Fisher information 0, such as 'unused'" in notes[-1]


def test_nothing_but_zeros_is_refused(tmp_path):
    case = Case(torch.nn.Linear(2, 3), {"x": torch.tensor([[1e4, 0.0]])})
    with torch.no_grad():
        case.module.weight[0] = 1.0
    with pytest.raises(MergeError, match="0 everywhere"):
        fisher(case, tmp_path / "out.st")
    assert not list(tmp_path.iterdir())
