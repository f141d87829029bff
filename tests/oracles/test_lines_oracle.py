"""LiNeS against numbers worked by hand (oracles L1 to L3) and the rules about blocks."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import save
from in_memory import merge_states, recipe_of, run_recipe

from merge.errors import UsageError
from merge.plan import make_plan
from merge.planning.blocks import BlockIndex


def tensors(**values):
    return {name.replace("__", "."): torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def zeros_like(state):
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def tower(blocks: int, value: list[float]) -> dict[str, torch.Tensor]:
    return {
        f"visual.transformer.resblocks.{n}.mlp.weight": torch.tensor(value, dtype=torch.float64) for n in range(blocks)
    }


def test_oracle_1():
    task_vector = tower(3, [1.0, 2.0]) | tensors(visual__conv1__weight=[10.0, -10.0], visual__ln_post__weight=[4.0])
    found = merge_states("lines", [task_vector], zeros_like(task_vector), alpha=0.2, beta=0.8)
    wanted = tensors(visual__conv1__weight=[2.0, -2.0], visual__ln_post__weight=[0.8])
    for number, block in enumerate(([0.2, 0.4], [0.6, 1.2], [1.0, 2.0])):
        wanted[f"visual.transformer.resblocks.{number}.mlp.weight"] = torch.tensor(block, dtype=torch.float64)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-12, atol=0)
    top = merge_states("lines", [task_vector], zeros_like(task_vector), alpha=0.2, beta=0.8, post_blocks="top")
    assert top["visual.ln_post.weight"].item() == pytest.approx(4.0)
    assert top["visual.conv1.weight"].tolist() == found["visual.conv1.weight"].tolist()


def test_oracle_2_and_the_default_beta():
    task_vector = tower(12, [1.0])
    wanted = [0.1, 0.181818, 0.263636, 0.345455, 0.427273, 0.509091]
    wanted += [0.590909, 0.672727, 0.754545, 0.836364, 0.918182, 1.0]
    for options in ({"alpha": 0.1, "beta": 0.9}, {}):
        found = merge_states("lines", [task_vector], zeros_like(task_vector), **options)
        scales = [found[f"visual.transformer.resblocks.{n}.mlp.weight"].item() for n in range(12)]
        assert scales == pytest.approx(wanted, abs=5e-7)


TAUS = [[1.0, -2.0, 0.5, 0.0], [-1.0, -1.0, 0.5, 3.0], [2.0, 0.0, 0.0, -1.0]]


def after(inner, models, base, beta, **options):
    """Return the remark and scales of LiNeS with an automatic alpha after a merge, on stacks of two blocks."""
    more = recipe_of(inner, models, base, **options)
    merge = type(more.merge)(
        more.merge.method, more.merge.models, more.merge.base, more.merge.options, then=(("lines", beta),)
    )
    found, _, outcome = run_recipe(type(more)(merge))
    return found, outcome.remarks


def two_blocks(tau):
    """Split a task vector over two blocks."""
    return {f"h.{n}.w": torch.tensor(tau[2 * n : 2 * n + 2], dtype=torch.float64) for n in range(2)}


def test_oracle_3_task_arithmetic():
    models = [two_blocks(tau) for tau in TAUS]
    found, remarks = after("task-arithmetic", models, zeros_like(models[0]), {"alpha": "auto", "beta": 0.6})
    assert remarks == ["lines: alpha auto is 0.333333"]
    assert found["h.0.w"].tolist() == pytest.approx([2 / 3, -1.0])
    assert found["h.1.w"].tolist() == pytest.approx([0.9333333333, 2 * 0.9333333333])


@pytest.mark.parametrize(
    ("merged", "alpha"), [([1.5, -1.5, 0.5, 3.0], 0.4102564103), ([3.0, -3.0, 0.5, 3.0], 0.2807017544)]
)
def test_oracle_3_norm_ratio_with_the_merged_task_vector_given(merged, alpha):
    """The merged task vector of the oracle keeps one entry more than ours: given to the view as it is."""
    from merge.methods.lines import Lines, LinesOptions

    arrays = [torch.tensor(tau, dtype=torch.float64) for tau in (merged, *TAUS)]
    options = LinesOptions(alpha="auto", beta=0.6)

    class Context:
        xp = torch

        def result(self, name):
            assert name == "norms"
            return [float(array.sum()) for array in Lines._magnitudes(arrays, options, self)]

    assert Lines._alpha(options, Context()) == pytest.approx(alpha, abs=1e-10)


def test_alpha_auto_after_a_soup_is_one():
    models = [two_blocks(tau) for tau in TAUS]
    _, remarks = after("soup", models, zeros_like(models[0]), {"alpha": "auto", "beta": 0.6})
    assert remarks == ["lines: alpha auto is 1"]


def test_beta_0_is_uniform_and_alpha_1_changes_nothing():
    task_vector = tower(4, [1.0, -3.0])
    base = zeros_like(task_vector)
    uniform = merge_states("lines", [task_vector], base, alpha=0.25, beta=0.0)
    assert {tuple(tensor.tolist()) for tensor in uniform.values()} == {(0.25, -0.75)}
    same = merge_states("lines", [task_vector], base, alpha=1.0, beta=0.0)
    assert all(torch.equal(same[name], tensor) for name, tensor in task_vector.items())


LAYOUTS = {
    "open_clip": ("visual.transformer.resblocks.{}.ln_1.weight", "visual.proj"),
    "open_clip text": ("transformer.resblocks.{}.ln_1.weight", "text_projection"),
    "CLIP and SigLIP": ("vision_model.encoder.layers.{}.mlp.fc1.weight", "vision_model.post_layernorm.weight"),
    "ViT": ("vit.encoder.layer.{}.output.dense.weight", "classifier.weight"),
    "timm": ("blocks.{}.attn.qkv.weight", "head.weight"),
    "BERT": ("bert.encoder.layer.{}.attention.self.query.weight", "bert.pooler.dense.weight"),
    "GPT-2": ("transformer.h.{}.attn.c_attn.weight", "transformer.ln_f.weight"),
    "T5 encoder": ("encoder.block.{}.layer.1.DenseReluDense.wi.weight", "encoder.final_layer_norm.weight"),
    "T5 decoder": ("decoder.block.{}.layer.0.SelfAttention.q.weight", "lm_head.weight"),
    "Llama": ("model.layers.{}.mlp.up_proj.weight", "model.norm.weight"),
    "ConvNeXt": ("convnext.encoder.stages.{}.layers.2.dwconv.weight", "convnext.layernorm.weight"),
    "Swin": ("layers.{}.blocks.1.attn.qkv.weight", "norm.weight"),
    "Mamba": ("backbone.layers.{}.mixer.in_proj.weight", "backbone.norm_f.weight"),
    "experts": ("model.layers.{}.mlp.experts.7.up_proj.weight", "lm_head.weight"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_architectures(layout):
    block, after_blocks = LAYOUTS[layout]
    names = [block.format(number) for number in range(5)]
    index = BlockIndex([*names, after_blocks, "embed.weight"])
    assert [index.place(name).depth for name in names] == [0, 0.25, 0.5, 0.75, 1]
    assert index.place(after_blocks) == (None, True)
    assert index.place("embed.weight") == (None, False)
    assert index.place("embeddings.norm.weight") == (None, False)


def test_towers_and_stacks_are_counted_by_themselves():
    names = [f"visual.transformer.resblocks.{n}.w" for n in range(5)] + [
        f"transformer.resblocks.{n}.w" for n in (0, 1, 2)
    ]
    index = BlockIndex(names)
    assert index.place("visual.transformer.resblocks.2.w").depth == 0.5
    assert index.place("transformer.resblocks.1.w").depth == 0.5


def test_the_blocks_of_stable_diffusion_are_one_stack():
    start = "model.diffusion_model"
    names = [f"{start}.input_blocks.{n}.0.weight" for n in range(12)] + [f"{start}.middle_block.1.weight"]
    names += [f"{start}.output_blocks.{n}.0.weight" for n in range(12)]
    index = BlockIndex([*names, f"{start}.out.0.weight", f"{start}.time_embed.0.weight"])
    depths = [index.place(name).depth for name in names]
    assert depths == [n / 24 for n in range(25)]
    assert index.place(f"{start}.out.0.weight").after
    assert index.place(f"{start}.time_embed.0.weight") == (None, False)


def test_numbers_outside_stacks_are_no_blocks():
    index = BlockIndex(["blocks.0.w", "blocks.1.w", "head.0.weight", "head.2.weight"])
    assert index.place("head.2.weight").depth is None


@pytest.mark.parametrize(
    ("state", "options", "message"),
    [
        (tower(2, [1.0]) | {"visual.transformer.resblocks.4.w": torch.ones(1)}, {}, "none numbered 2"),
        ({"conv": torch.ones(2)}, {}, "no tensor's name shows its block"),
        (tower(2, [1.0]), {"pattern": r"resblocks\.\d+\."}, "must have one group"),
        (tower(2, [1.0]), {"pattern": r"res(blocks)\."}, "finds no block number"),
        (tower(2, [1.0]), {"pattern": "("}, "is no regular expression"),
        (tower(2, [1.0]), {"alpha": "auto"}, "compares several models"),
        (tower(2, [1.0]), {"alpha": "automatic"}, "must be a number or auto"),
    ],
)
def test_refusals(state, options, message):
    with pytest.raises(UsageError, match=message):
        make_plan(recipe_of("lines", [state], zeros_like(state), **options))


def test_a_pattern_of_the_user():
    task_vector = {f"trunk.{n}.w": torch.ones(1) for n in range(3)}
    found = merge_states(
        "lines", [task_vector], zeros_like(task_vector), pattern=r"trunk\.(\d+)\.", alpha=0.0, beta=1.0
    )
    assert [found[f"trunk.{n}.w"].item() for n in range(3)] == [0.0, 0.5, 1.0]


def test_one_block_has_alpha_plus_beta():
    task_vector = tower(1, [2.0])
    found = merge_states("lines", [task_vector], zeros_like(task_vector), alpha=0.25, beta=0.5)
    assert found["visual.transformer.resblocks.0.mlp.weight"].item() == 1.5


def test_a_scale_before_lines_is_refused():
    models = [two_blocks(tau) for tau in TAUS]
    with pytest.raises(UsageError, match="scale other than 1"):
        after("ties", models, zeros_like(models[0]), {"alpha": 0.5}, scale=0.3)


REFUSED = {
    "its default": ("magmax", {}, {}),
    "of one model": ("passthrough", {}, {"per_model": {"scale": 0.5}}),
    "over depth": ("ties", {"scale": [1.0, 0.5]}, {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_scale_that_no_one_number_gives_is_refused_too(case):
    method, options, more = REFUSED[case]
    models = [two_blocks(tau) for tau in TAUS][: 1 if method == "passthrough" else 3]
    with pytest.raises(UsageError, match=f"set the scale of {method} to 1"):
        after(method, models, zeros_like(models[0]), {"alpha": 0.5}, **options, **more)


def test_scales_of_1_are_none():
    models = [two_blocks(tau) for tau in TAUS]
    given = zeros_like(models[0]), {"alpha": 1.0}
    magmax, _ = after("magmax", models, *given, scale=1.0)
    assert magmax["h.0.w"].tolist() == [2.0, -2.0]
    for more in ({"scale": 1.0}, {"per_model": {"scale": 1.0}}, {}):
        passed, _ = after("passthrough", models[:1], *given, **more)
        assert passed["h.0.w"].tolist() == TAUS[0][:2]


def test_what_runs_is_what_verify_repeats(cli, here):
    for name in ("a", "b"):
        save(here / f"{name}.st", two_blocks(TAUS[0]))
    save(here / "base.st", zeros_like(two_blocks(TAUS[0])))
    recipe = "merge: {}\nbase: base.st\nmodels: [{}]\nthen:\n  - lines: {{}}\noutput: out.st\n"
    for method, models in (("passthrough", "{model: a.st, scale: 1}"), ("ties", "a.st, b.st")):
        (here / "recipe.yaml").write_text(recipe.format(method, models))
        assert cli("run", "recipe.yaml", "--force").code == 0
        assert cli("verify", "out.st").code == 0
