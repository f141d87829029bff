"""CLIP image towers under fixed heads: which features, which arithmetic, which key names."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import example_arrays, make_clip_config

from merge.errors import MergeError, UsageError
from merge.evaluation import evaluate

HEAD = torch.tensor([[1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0.5, 1]])
BIAS = torch.tensor([0.1, -0.2, 0.3])


@pytest.fixture
def heads(tmp_path):
    tensors = {
        "cosine": HEAD,
        "linear": HEAD.clone(),
        "linear.bias": BIAS,
        "wide": torch.eye(3, 8),
        "flat": torch.zeros(4),
    }
    save_file(tensors, tmp_path / "heads.safetensors")
    return "head: heads.safetensors#"


def losses(models, benchmark, **settings):
    evaluation = evaluate([str(model) for model in models], [benchmark], **settings)
    return [row["value"] for row in evaluation.results if row["metric"] == "loss"]


def features_by_hand(folder):
    from transformers import CLIPVisionModelWithProjection

    arrays = example_arrays()
    pixels = (torch.from_numpy(arrays["images"]).float() / 255)[:, None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        features = CLIPVisionModelWithProjection.from_pretrained(folder).eval()(pixel_values=pixels).image_embeds
    return features, torch.from_numpy(arrays["labels"])


def test_cosine_head(projected_tower, write_benchmark, heads):
    features, labels = features_by_hand(projected_tower)
    cosines = torch.stack([torch.cosine_similarity(features, row[None]) for row in HEAD], dim=1)
    expected = torch.nn.functional.cross_entropy(10 * cosines, labels).item()
    benchmark = write_benchmark(f"{heads}cosine\nlogit_scale: 10\n")
    assert losses([projected_tower], benchmark) == [pytest.approx(expected, rel=1e-5)]


def test_linear_head_with_its_bias(projected_tower, write_benchmark, heads):
    features, labels = features_by_hand(projected_tower)
    expected = torch.nn.functional.cross_entropy(features @ HEAD.T + BIAS, labels).item()
    assert losses([projected_tower], write_benchmark(f"{heads}linear\n")) == [pytest.approx(expected, rel=1e-5)]


def test_row_names_the_head_that_served(projected_tower, write_benchmark, heads):
    evaluation = evaluate([str(projected_tower)], [write_benchmark(f"{heads}linear\n")])
    assert {row["head"] for row in evaluation.results} == {"heads.safetensors#linear"}


def test_prefix_and_position_buffers_do_not_matter(projected_tower, write_benchmark, heads, tmp_path):
    tensors = load_file(projected_tower / "model.safetensors")
    tower = {name.removeprefix("vision_model."): tensor for name, tensor in tensors.items() if "projection" not in name}
    with_prefix = {f"vision_model.{name}": tensor for name, tensor in tower.items()}
    with_buffer = with_prefix | {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
    files = []
    for name, content in {"bare": tower, "prefix": with_prefix, "buffer": with_buffer}.items():
        files.append(tmp_path / f"{name}.st")
        save_file(content, files[-1])
    benchmark = write_benchmark(f"{heads}wide\nmodel: {projected_tower}\n")
    first, *others = losses(files, benchmark)
    assert others == [first, first]


def test_projection_is_used_where_the_checkpoint_has_one(projected_tower, write_benchmark, heads, tmp_path):
    tensors = load_file(projected_tower / "model.safetensors")
    save_file(tensors, tmp_path / "projected.st")
    benchmark = write_benchmark(f"{heads}linear\nmodel: {projected_tower}\n")
    assert losses([tmp_path / "projected.st"], benchmark) == losses([projected_tower], benchmark)
    del tensors["visual_projection.weight"]
    save_file(tensors, tmp_path / "pooled.st")
    with pytest.raises(MergeError, match="takes 4 features, the model gives 8"):
        losses([tmp_path / "pooled.st"], benchmark)


def test_whole_clip_checkpoint_gives_its_image_tower(projected_tower, write_benchmark, heads, tmp_path):
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig

    text = CLIPTextConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=9, eos_token_id=8
    )
    vision = make_clip_config(projection_dim=99)  # the outer configuration's dimension is the one that counts
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=4)
    model = CLIPModel(config)
    model.load_state_dict(load_file(projected_tower / "model.safetensors"), strict=False)
    model.save_pretrained(tmp_path / "clip")
    benchmark = write_benchmark(f"{heads}linear\n")
    assert losses([tmp_path / "clip"], benchmark) == losses([projected_tower], benchmark)


@pytest.mark.parametrize(
    ("name", "message"),
    [("linnear", "did you mean 'linear'?"), ("flat", r"shape \[4\]; \[classes, features\]")],
)
def test_wrong_heads(projected_tower, write_benchmark, heads, name, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        losses([projected_tower], write_benchmark(heads + name + "\n"))


def test_a_bias_of_another_size(projected_tower, write_benchmark, tmp_path):
    save_file({"h": HEAD, "h.bias": torch.zeros(2)}, tmp_path / "heads.safetensors")
    with pytest.raises(UsageError, match=r"shape \[2\]; \[3\] is expected"):
        losses([projected_tower], write_benchmark("head: heads.safetensors#h\n"))


def test_a_tower_needs_a_head(projected_tower, write_benchmark):
    with pytest.raises(UsageError, match="CLIPVisionModelWithProjection has no classification head"):
        losses([projected_tower], write_benchmark())


def test_a_model_that_takes_no_images(write_benchmark, heads, tmp_path):
    from transformers import GPT2Config, GPT2Model

    GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9)).save_pretrained(tmp_path / "text")
    with pytest.raises(MergeError, match=r"text: GPT2Model does not run on images \[12, 3, "):
        losses([tmp_path / "text"], write_benchmark(f"{heads}linear\n"))


def test_a_tower_with_a_lost_layer_is_refused(projected_tower, write_benchmark, heads, tmp_path):
    tensors = load_file(projected_tower / "model.safetensors")
    lost = {name: tensor for name, tensor in tensors.items() if ".layers.1." not in name}
    save_file(lost, tmp_path / "lost.st")
    benchmark = write_benchmark(f"{heads}linear\nmodel: {projected_tower}\n")
    with pytest.raises(MergeError, match=r"16 missing: .*layers\.1\..* and 11 more"):
        losses([tmp_path / "lost.st"], benchmark)
