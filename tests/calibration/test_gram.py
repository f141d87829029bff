"""Gram matrices of whole networks, against sums by hand in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from merge.calibration.declared import GramCalibration
from merge.calibration.facts import Facts
from merge.calibration.gram import compute_gram
from merge.calibration.storing import Store
from merge.calibration.subject import Batch
from merge.errors import MergeError
from merge.evaluation.candidate import Candidate
from merge.evaluation.task import Settings


@dataclass
class FakeSubject:
    """A network whose names are the checkpoint's own."""

    module: nn.Module
    name: str = "model"
    device: str = "cpu"
    predicts: str = "nothing"
    more_places: Mapping[str, torch.Tensor] = field(default_factory=dict)
    runs: int = 0

    def places(self) -> dict[str, torch.Tensor]:
        return dict(self.module.named_parameters()) | dict(self.more_places)

    def run(self, inputs: Mapping[str, torch.Tensor]) -> None:
        self.runs += len(next(iter(inputs.values())))
        self.module.eval()(**inputs)

    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        raise AssertionError("activations need no predictions")


@dataclass
class FakeData:
    """Data in memory: a subject and the inputs of all items."""

    of: FakeSubject
    inputs: Mapping[str, torch.Tensor]
    counted: Mapping[str, torch.Tensor] | None = None
    name: str = "fake"
    where: str = "fake"

    @property
    def about(self) -> dict[str, Any]:
        return {"name": self.name, "number": len(self)}

    def subject(self, candidate: Candidate, settings: Settings) -> FakeSubject:
        return self.of

    def sample(self, subject: FakeSubject, count: int, draw: str, settings: Settings) -> FakeData:
        return self

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        for start in range(first, len(self), size):
            part = slice(start, start + size)
            counted = {name: mask[part] for name, mask in self.counted.items()} if self.counted else None
            yield Batch({name: tensor[part] for name, tensor in self.inputs.items()}, None, counted)


def gram_of(
    data: FakeData, out: Path, batch_size: int = 2, tensors: Mapping[str, torch.Tensor] | None = None, **options: Any
) -> tuple[dict[str, torch.Tensor], Facts]:
    """Compute, and read the file."""
    settings = Settings(batch_size=batch_size)
    candidate = Candidate("model", tensors or {}, None, "content id")
    with Store(out, dtype="float64", force=True) as store:
        facts = compute_gram(candidate, data, GramCalibration(**options), settings, store)
    with safe_open(out, "pt") as file:
        read = Facts.from_metadata(file.metadata(), "out")
    assert (read.kind, read.model, read.rows) == ("gram", "content id", facts.rows)
    return load_file(out), facts


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=tolerance, atol=tolerance)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def mean(rows: torch.Tensor) -> torch.Tensor:
    rows = rows.detach().reshape(-1, rows.shape[-1]).double()
    return rows.T @ rows / len(rows)


class Two(nn.Module):
    """Two layers; the second one is also left alone by half of the items."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.unused = (nn.Linear(3, 3, dtype=torch.float64) for _ in range(3))
        self.norm = nn.LayerNorm(3, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.norm(self.first(x)).relu())


def test_two_layers_by_hand(tmp_path):
    torch.manual_seed(0)
    module, x = Two(), random(5, 4, 3)
    tensors, facts = gram_of(FakeData(FakeSubject(module), {"x": x}), tmp_path / "out.st")
    assert set(tensors) == {"first.weight", "second.weight"}
    close(tensors["first.weight"], mean(x))
    close(tensors["second.weight"], mean(module.norm(module.first(x)).relu()))
    assert facts.rows == {"first.weight": 20, "second.weight": 20}
    assert facts.about["left_out"] == {"unused.weight": "never multiplied by as a whole"}
    assert facts.data_use == "unlabeled"


def test_the_size_of_a_batch_changes_nothing_but_rounding(tmp_path):
    data = FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)})
    one, _ = gram_of(data, tmp_path / "one.st", batch_size=1)
    all_at_once, _ = gram_of(data, tmp_path / "all.st", batch_size=5)
    for name in one:
        close(one[name], all_at_once[name])
    assert data.of.runs == 10  # one forward pass for each item


def test_progress_is_told(tmp_path):
    told: list[int] = []
    data = FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)})
    with Store(tmp_path / "out.st") as store:
        settings = Settings(batch_size=2, advance=told.append)
        compute_gram(Candidate("m", {}, None, "id"), data, GramCalibration(), settings, store)
    assert told == [2, 2, 1]


def test_grams_of_a_network_in_float32_are_those_of_float64_to_5_digits(tmp_path):
    torch.manual_seed(0)
    module, x = Two(), random(64, 50, 3)
    exact, _ = gram_of(FakeData(FakeSubject(module), {"x": x}), tmp_path / "a.st", batch_size=8)
    single, _ = gram_of(FakeData(FakeSubject(module.float()), {"x": x.float()}), tmp_path / "b.st", batch_size=8)
    for name, tensor in exact.items():
        close(single[name], tensor, 1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_layer_whose_inputs_are_not_finite_is_named(tmp_path, value):
    module = Two()
    with torch.no_grad():
        module.norm.weight[1] = value
    with pytest.raises(MergeError, match=r"model: the inputs of 'second.weight' are not finite"):
        gram_of(FakeData(FakeSubject(module), {"x": random(5, 4, 3)}), tmp_path / "out.st")
    assert not list(tmp_path.iterdir())


def test_a_model_without_matrices_is_refused(tmp_path):
    module = nn.Sequential(nn.Conv1d(4, 2, 1, dtype=torch.float64))
    data = FakeData(FakeSubject(module), {"input": random(2, 4, 3)})
    with pytest.raises(MergeError, match=r"multiplies its inputs by none of its tensors .*--convolutions"):
        gram_of(data, tmp_path / "out.st")
    tensors, facts = gram_of(data, tmp_path / "out.st", convolutions=True)
    close(tensors["0.weight"], mean(random(2, 4, 3).transpose(1, 2)))
    assert facts.layout == {"0.weight": "convolution"}


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.hidden = nn.Embedding(7, 3), nn.Linear(3, 3)
        self.out, self.value = nn.Linear(3, 7, bias=False), nn.Linear(3, 1)
        self.out.weight = self.table.weight

    def forward(self, input_ids: torch.Tensor) -> Any:
        states = self.hidden(self.table(input_ids)).relu()
        return self.out(states), self.value(states)


def test_tied_weights_have_no_gram(tmp_path):
    """Nor does the head that shares their input lose its own."""
    data = FakeData(FakeSubject(Tied()), {"input_ids": torch.tensor([[1, 2], [3, 4]])})
    tensors, facts = gram_of(data, tmp_path / "out.st")
    assert set(tensors) == {"hidden.weight", "value.weight"}
    assert not facts.aliases
    assert facts.about["left_out"] == {"table.weight": "embedding, or tied to one"}


def test_one_parameter_of_two_names_has_no_gram(tmp_path):
    module = Two()
    subject = FakeSubject(module, more_places={"again.weight": module.second.weight})
    tensors, facts = gram_of(FakeData(subject, {"x": random(5, 4, 3)}), tmp_path / "out.st")
    assert set(tensors) == {"first.weight"}
    assert facts.about["left_out"]["again.weight"] == "one parameter of several names"


def test_matrices_that_the_network_keeps_elsewhere_are_named(tmp_path):
    tensors = {"experts.0.w1.weight": torch.ones(2, 2), "experts.0.bias": torch.ones(2)}
    _, facts = gram_of(FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)}), tmp_path / "out.st", tensors=tensors)
    assert facts.about["left_out"]["experts.0.w1.weight"] == "without a place of its own in the network"
    assert "experts.0.bias" not in facts.about["left_out"]


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(3, 2, bias=False) for _ in range(3))
        self.ups = nn.ModuleList(nn.Linear(3, 2, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor, expert: torch.Tensor) -> None:
        for number in expert.unique().tolist():
            rows = x[expert == number]
            self.gates[number](rows) * self.ups[number](rows)


def test_experts_without_a_row_have_no_gram(tmp_path):
    x = random(4, 3).float()
    data = FakeData(FakeSubject(Experts()), {"x": x, "expert": torch.tensor([0, 0, 0, 2])})
    tensors, facts = gram_of(data, tmp_path / "out.st")
    assert facts.rows == {"gates.0.weight": 3, "gates.2.weight": 1}
    assert facts.aliases == {"ups.0.weight": "gates.0.weight", "ups.2.weight": "gates.2.weight"}
    assert set(facts.about["left_out"]) == {"gates.1.weight", "ups.1.weight"}
    close(tensors["gates.2.weight"], mean(x[3:]), 1e-6)


def inputs_of(module: nn.Module, names: list[str], **inputs: Any) -> dict[str, torch.Tensor]:
    """Return the inputs of Linear layers by hooks."""
    found = {}
    handles = [
        module.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: found.update({name: args[0]}))
        for name in names
    ]
    with torch.no_grad():
        module.eval()(**inputs)
    for handle in handles:
        handle.remove()
    return found


def test_padding_of_a_bert(tmp_path):
    from evaluation.tiny_language_models import make_bert

    module, tokens = make_bert("BertForSequenceClassification"), torch.tensor([[1, 5, 9, 2], [3, 4, 0, 0]])
    attended = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    inputs = {"input_ids": tokens, "attention_mask": attended}
    data = FakeData(FakeSubject(module), inputs, {"input_ids": attended.bool()})
    name = "bert.encoder.layer.1.output.dense"
    states = inputs_of(module, [name], **inputs)[name]
    masked, facts = gram_of(data, tmp_path / "masked.st")
    counted, all_rows = gram_of(data, tmp_path / "counted.st", padding="counted")
    close(masked[f"{name}.weight"], mean(states[attended.bool()]), 1e-6)
    close(counted[f"{name}.weight"], mean(states), 1e-6)
    assert (facts.rows[f"{name}.weight"], all_rows.rows[f"{name}.weight"]) == (6, 8)
    assert facts.rows["classifier.weight"] == 2  # of pooled states, one for each item
    shared = facts.aliases["bert.encoder.layer.0.attention.self.value.weight"]
    assert shared == "bert.encoder.layer.0.attention.self.query.weight"


def test_padding_of_an_encoder_and_a_decoder_of_equal_length(tmp_path):
    """Cross attention looks at the encoder's tokens, everything else in the decoder at its own."""
    from evaluation.tiny_language_models import make_t5

    module = make_t5()
    read, written = torch.tensor([[1, 1, 1], [1, 0, 0]]), torch.tensor([[1, 1, 0], [1, 1, 0]])
    inputs = {
        "input_ids": torch.tensor([[5, 6, 7], [8, 0, 0]]),
        "attention_mask": read,
        "decoder_input_ids": torch.tensor([[0, 9, 0], [0, 7, 0]]),
        "decoder_attention_mask": written,
    }
    data = FakeData(FakeSubject(module), inputs, {"input_ids": read.bool(), "decoder_input_ids": written.bool()})
    streams = {
        "encoder.block.1.layer.0.SelfAttention.q": read,
        "decoder.block.0.layer.0.SelfAttention.q": written,
        "decoder.block.0.layer.1.EncDecAttention.q": written,
        "decoder.block.0.layer.1.EncDecAttention.k": read,
        "decoder.block.1.layer.2.DenseReluDense.wo": written,
    }
    states = inputs_of(module, list(streams), **inputs)
    tensors, facts = gram_of(data, tmp_path / "out.st")
    for name, mask in streams.items():
        owner = facts.aliases.get(f"{name}.weight", f"{name}.weight")
        close(tensors[owner], mean(states[name][mask.bool()]), 1e-6)
    # All the decoder's blocks look at the encoder's states, so all share one matrix.
    crossing = "decoder.block.0.layer.1.EncDecAttention.k.weight"
    assert facts.aliases["decoder.block.1.layer.1.EncDecAttention.v.weight"] == crossing


def test_images_are_not_masked_as_texts_are(tmp_path):
    """Patches may be as many as tokens."""
    from evaluation.tiny_clip import make_clip

    module = make_clip(tmp_path)
    counted = torch.tensor([[True, True, True, True, False]] * 2)
    inputs = {
        "pixel_values": random(2, 3, 8, 8).float(),  # 4 patches and the class token
        "input_ids": torch.tensor([[4, 5, 6, 3, 3], [9, 8, 7, 6, 3]]),
        "attention_mask": counted.long(),
    }
    _, facts = gram_of(FakeData(FakeSubject(module), inputs, {"input_ids": counted}), tmp_path / "out.st")
    assert facts.rows["vision_model.encoder.layers.0.self_attn.out_proj.weight"] == 10
    assert facts.rows["text_model.encoder.layers.0.self_attn.out_proj.weight"] == 8


def test_tokens_that_torch_s_own_layers_put_first(tmp_path):
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=False, dtype=torch.float64)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x.transpose(0, 1))

    x, counted = random(2, 3, 6), torch.tensor([[True, True, False], [True, False, False]])
    tensors, facts = gram_of(FakeData(FakeSubject(Network()), {"x": x}, {"x": counted}), tmp_path / "out.st")
    close(tensors["layer.self_attn.in_proj_weight"], mean(x[counted]))
    assert set(facts.rows.values()) == {3}


def interrupt_after(items: int) -> Any:
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if done > items:
            raise KeyboardInterrupt

    return advance


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    data = FakeData(FakeSubject(Tied()), {"input_ids": torch.arange(18).reshape(9, 2) % 7})
    candidate = Candidate("model", {}, None, "id")
    whole = Settings(batch_size=2)
    with Store(tmp_path / "whole.st") as store:
        expected = compute_gram(candidate, data, GramCalibration(), whole, store)
    stopped = Settings(batch_size=2, advance=interrupt_after(5))
    with pytest.raises(KeyboardInterrupt), Store(tmp_path / "out.st", seconds=0) as store:
        compute_gram(candidate, data, GramCalibration(), stopped, store)
    runs = data.of.runs
    with Store(tmp_path / "out.st", resume=True) as store:
        found = compute_gram(candidate, data, GramCalibration(), whole, store)
    assert store.notes == ["resumed after 4 items"]
    assert data.of.runs - runs == 5
    assert found == expected
    assert (tmp_path / "out.st").read_bytes() == (tmp_path / "whole.st").read_bytes()


def test_a_run_with_other_options_is_not_gone_on_with(tmp_path):
    data = FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)})
    candidate = Candidate("model", {}, None, "id")
    stopped = Settings(batch_size=2, advance=interrupt_after(3))
    with pytest.raises(KeyboardInterrupt), Store(tmp_path / "out.st", seconds=0) as store:
        compute_gram(candidate, data, GramCalibration(), stopped, store)
    with Store(tmp_path / "out.st", resume=True) as store:
        compute_gram(candidate, data, GramCalibration(padding="counted"), Settings(batch_size=2), store)
    assert store.notes == [
        "nothing to resume, so everything was computed anew: what it depends on has changed: options"
    ]


def as_open_clip(tower: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a vision tower of transformers under open_clip's names, q, k and v as one."""
    own = tower.state_dict()
    own = {name.removeprefix("vision_model."): tensor for name, tensor in own.items()}
    found = {
        "class_embedding": own["embeddings.class_embedding"],
        "positional_embedding": own["embeddings.position_embedding.weight"],
        "conv1.weight": own["embeddings.patch_embedding.weight"],
        "proj": own["visual_projection.weight"].T.contiguous(),
    }
    for theirs, ours in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        found |= {f"{theirs}.{part}": own[f"{ours}.{part}"] for part in ("weight", "bias")}
    renamed = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    renamed |= {"attn.out_proj": "self_attn.out_proj"}
    for layer in range(2):
        here, there = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
        for part in ("weight", "bias"):
            found |= {f"{here}.{one}.{part}": own[f"{there}.{other}.{part}"] for one, other in renamed.items()}
            parts = [own[f"{there}.self_attn.{kind}_proj.{part}"] for kind in "qkv"]
            found[f"{here}.attn.in_proj_{part}"] = torch.cat(parts)
    return found


def test_one_vision_tower_as_transformers_and_as_open_clip_store_it(tmp_path):
    from evaluation.tiny_models import make_clip_config
    from open_clip.transformer import VisionTransformer
    from transformers import CLIPVisionModelWithProjection

    torch.manual_seed(0)
    theirs = CLIPVisionModelWithProjection(make_clip_config(hidden_act="gelu"))
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    ours = VisionTransformer(8, 4, 8, layers=2, heads=2, mlp_ratio=2, output_dim=4)
    ours.load_state_dict(as_open_clip(theirs))
    pixels = random(3, 3, 8, 8)
    one, facts = gram_of(FakeData(FakeSubject(theirs.double()), {"pixel_values": pixels}), tmp_path / "one.st")
    other, others = gram_of(FakeData(FakeSubject(ours.double()), {"x": pixels}), tmp_path / "other.st")
    assert len(one) == len(other) == 9
    base = next(name for name in one if ".layers.0.self_attn.q_proj" in name).partition("encoder.")[0]
    for layer in range(2):
        here, there = f"transformer.resblocks.{layer}", f"{base}encoder.layers.{layer}"
        for name, twin in (
            ("attn.in_proj_weight", "self_attn.q_proj.weight"),
            ("attn.out_proj.weight", "self_attn.out_proj.weight"),
            ("mlp.c_fc.weight", "mlp.fc1.weight"),
            ("mlp.c_proj.weight", "mlp.fc2.weight"),
        ):
            close(other[f"{here}.{name}"], one[f"{there}.{twin}"])
            assert others.rows[f"{here}.{name}"] == facts.rows[f"{there}.{twin}"] == 15
        assert facts.aliases[f"{there}.self_attn.v_proj.weight"] == f"{there}.self_attn.q_proj.weight"
    close(other["proj"], one["visual_projection.weight"])
    assert others.layout == {"proj": "in_out"}
    assert others.rows["proj"] == 3
