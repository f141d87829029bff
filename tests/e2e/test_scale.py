"""Sizes of the real world as sparse files: planning 1.5 TB from headers, tensors of more than 2^31 elements."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import torch
from checkpoint_files import save, write_sparse
from command_line import environment, run
from in_memory import recipe_of
from safetensors import safe_open

from merge.plan import make_plan
from merge.streaming.pieces import cut

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sparse files")


def bf16(*shape: int) -> tuple[str, list[int], int]:
    size = 2
    for length in shape:
        size *= length
    return "BF16", list(shape), size


def llama_layout(layers: int, width: int, inner: int, vocabulary: int) -> dict:
    """Llama's names and shapes."""
    found = {"model.embed_tokens.weight": bf16(vocabulary, width), "lm_head.weight": bf16(vocabulary, width)}
    for n in range(layers):
        block = {"self_attn.q_proj": (width, width), "self_attn.o_proj": (width, width)}
        block |= {"self_attn.k_proj": (1024, width), "self_attn.v_proj": (1024, width)}
        block |= {"mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner)}
        block |= {"input_layernorm": (width,), "post_attention_layernorm": (width,)}
        found |= {f"model.layers.{n}.{name}.weight": bf16(*shape) for name, shape in block.items()}
    return found


def experts(layers: int, count: int, width: int, inner: int) -> dict:
    """Names and shapes of a mixture of experts, with tens of thousands of tensors."""
    shapes = {"gate_proj": (inner, width), "up_proj": (inner, width), "down_proj": (width, inner)}
    found = {"model.embed_tokens.weight": bf16(129280, width)}
    for n in range(layers):
        for expert in range(count):
            for name, shape in shapes.items():
                found[f"model.layers.{n}.mlp.experts.{expert}.{name}.weight"] = bf16(*shape)
    return found


def clip() -> dict:
    """CLIP L/14's vision tower."""
    found = {"vision_model.embeddings.patch_embedding.weight": bf16(1024, 3, 14, 14), "logit_scale": bf16()}
    for n in range(24):
        for name, shape in {"mlp.fc1": (4096, 1024), "mlp.fc2": (1024, 4096), "self_attn.q_proj": (1024, 1024)}.items():
            found[f"vision_model.encoder.layers.{n}.{name}.weight"] = bf16(*shape)
            found[f"vision_model.encoder.layers.{n}.{name}.bias"] = bf16(shape[0])
    return found


def write_shards(folder, layout: dict, count: int) -> int:
    """Write a layout over so many sparse shards with an index; return its size in bytes."""
    names = list(layout)
    weight_map = {}
    for shard in range(count):
        file = f"model-{shard + 1:05d}-of-{count:05d}.safetensors"
        part = names[shard::count]
        write_sparse(folder / file, {name: layout[name] for name in part})
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return sum(size for _, _, size in layout.values())


LAYOUTS = {
    "llama": (llama_layout(126, 16384, 53248, 128256), 40),
    "experts": (experts(58, 256, 7168, 2048), 40),
    "clip": (clip(), 1),
}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """Every layout twice, and its size in bytes."""
    folder = tmp_path_factory.mktemp("sparse")
    sizes = {}
    for name, (layout, count) in LAYOUTS.items():
        for copy in ("one", "two"):
            (folder / name / copy).mkdir(parents=True)
            sizes[name] = write_shards(folder / name / copy, layout, count)
    yield folder, sizes
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("method", ["soup", "ties"])
def test_real_layouts_are_planned_from_headers_alone(cli, sparse, monkeypatch, name, method):
    folder, sizes = sparse
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**13))
    base = ("--base", folder / name / "one") if method == "ties" else ()
    started = time.process_time()
    models = (folder / name / "two",) if base else (folder / name / "one", folder / name / "two")
    result = cli(method, *models, *base, "-o", folder / "out", "--dry-run", "--json")
    spent = time.process_time() - started
    assert result.code == 0, result.err
    plan = json.loads(result.out)
    assert plan["counts"]["merge"] == len(LAYOUTS[name][0])
    assert plan["bytes_written"] == sizes[name]
    assert plan["bytes_read"] == 2 * sizes[name]
    assert sum(file["bytes"] for file in plan["files"]) == sizes[name]
    assert spent < 20  # seconds of CPU for up to 1.5 TB


def test_the_layouts_are_as_large_as_promised(sparse):
    _, sizes = sparse
    assert sizes["llama"] > 750e9
    assert sizes["experts"] > 1200e9


HUGE = 2**31 + 3 * 2**16 + 5


@pytest.mark.parametrize("method", ["soup", "ties"])
def test_a_tensor_beyond_32_bits_is_cut_without_gaps(tmp_path, method):
    state = {"before": bf16(7), "w": bf16(HUGE), "after": bf16(3)}
    paths = [str(write_sparse(tmp_path / f"{name}.st", state)) for name in "ab"]
    plan = make_plan(recipe_of(method, paths[1:], paths[0]) if method == "ties" else recipe_of(method, paths))
    spans = [span for piece in cut(plan.rows) for span in piece if plan.rows[span.first].name == "w"]
    assert spans[0].start == 0
    assert spans[-1].stop == HUGE
    assert all(one.stop == two.start for one, two in itertools.pairwise(spans))
    plan.close()


@pytest.mark.slow
def test_a_tensor_beyond_32_bits_is_streamed(tmp_path):
    """Two sparse files with a few numbers at the far end; one byte per element keeps it quick."""
    layout = {"w": ("F8_E5M2", [HUGE], HUGE), "end": ("F8_E5M2", [2], 2)}
    for name, value in (("a", 0x3C), ("b", 0x40)):  # 1 and 2
        path = write_sparse(tmp_path / f"{name}.st", layout)
        with path.open("r+b") as stream:
            stream.seek(-6, os.SEEK_END)
            stream.write(bytes([value] * 6))
    result = run("soup", "a.st", "b.st", "-o", "out.st", "--no-fsync", "--threads", "2", cwd=tmp_path)
    assert result.code == 0, result.err
    with safe_open(tmp_path / "out.st", "pt") as opened:
        assert opened.get_slice("w").get_shape() == [HUGE]
        assert opened.get_slice("w")[HUGE - 5 :].float().tolist() == [0, 1.5, 1.5, 1.5, 1.5]
        assert opened.get_tensor("end").float().tolist() == [1.5, 1.5]
    for path in tmp_path.iterdir():
        path.unlink()


MEASURE = """
import re, sys
from merge.cli import main
code = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
print(code, int(peak) // 1024, file=sys.stderr)
"""


def peak(tmp_path, *arguments: str) -> int:
    """Return the peak memory of a run in MB, in a process of its own."""
    command = [sys.executable, "-c", MEASURE, *arguments]
    found = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    code, megabytes = map(int, found.stderr.split()[-2:])
    assert code == 0, found.stderr
    return megabytes


def noise(tmp_path, names: str, count: int, elements: int) -> list[str]:
    for seed, name in enumerate(names):
        numbers = torch.randint(-(2**14), 2**14, (elements,), dtype=torch.int16) & 0x3FFF
        save(
            tmp_path / f"{name}.st",
            {f"layers.{n}.w": numbers.roll(n + seed).view(torch.bfloat16) for n in range(count)},
        )
    return [f"{name}.st" for name in names]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(("count", "elements"), [(4000, 4096), (100, 200_000), (2, 10_000_000)])
def test_memory_does_not_grow_with_tensors(tmp_path, count, elements):
    base, *models = noise(tmp_path, "xabc", count, elements)
    more = ("--no-fsync", "--threads", "2")
    assert peak(tmp_path, "soup", *models, "-o", "soup.st", *more) < 130
    assert peak(tmp_path, "ties", *models, "--base", base, "-o", "ties.st", *more) < 150
