"""A mixture of language models as a folder: evaluated, and loaded by transformers alone."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import pytest
import torch
from command_line import ROOT, assert_refused, environment
from tiny_language_models import make_gpt2, make_llama, make_tokenizer, save

TEXT = "the cat said yes, and the dog said no. " * 6
PAGE = (ROOT / "docs" / "bundles.md").read_text("utf-8")


@pytest.fixture
def experts(here):
    for seed, name in enumerate("ab"):
        save(make_llama(seed), here / name)
    (here / "text.txt").write_text(TEXT)
    (here / "text.yaml").write_text("name: text\nkind: perplexity\ndata: {path: text.txt}\ncontext: 16\nstride: 8\n")
    return make_llama(0), make_llama(1)


def rows(cli, *arguments):
    result = cli("eval", *arguments, "--benchmark", "text.yaml", "--json")
    assert result.code == 0, result.err
    return {(row["model"], row["metric"]): row["value"] for row in json.loads(result.out)["results"]}


def averaged(models, tokens):
    with torch.no_grad():
        return sum(model(tokens).logits for model in models) / len(models)


def test_perplexity_of_a_mixture(experts, cli):
    assert cli("moe", "a", "b", "-o", "mix").code == 0
    found = rows(cli, "mix", "a", "b")
    assert found["mix (expert 1)", "perplexity"] == pytest.approx(found["a", "perplexity"], rel=1e-6)
    bound = math.exp((math.log(found["a", "perplexity"]) + math.log(found["b", "perplexity"])) / 2)
    assert found["mix", "perplexity"] < bound
    together = rows(cli, "a", "b", "--ensemble", "logits")
    assert together["ensemble(logits)", "perplexity"] == pytest.approx(found["mix", "perplexity"], rel=1e-6)
    probabilities = rows(cli, "a", "b", "--ensemble", "probs")
    assert probabilities["ensemble(probs)", "perplexity"] < bound


@pytest.mark.parametrize("flags", [(), ("--copy",)])
def test_transformers_loads_the_folder(experts, here, cli, flags):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import merge.bundles.mixture  # noqa: F401 -- makes such folders known

    assert cli("moe", "a", "b", *flags, "-o", "mix").code == 0
    model, tokenizer = AutoModelForCausalLM.from_pretrained(here / "mix"), AutoTokenizer.from_pretrained(here / "mix")
    tokens = tokenizer("the cat", return_tensors="pt")["input_ids"]
    torch.testing.assert_close(model(tokens).logits, averaged(experts, tokens), atol=1e-5, rtol=0)
    assert model.generate(tokens, max_new_tokens=4, do_sample=False).shape[1] <= tokens.shape[1] + 4


def test_copied_experts_with_equal_tensors_load(here, cli):
    from transformers import AutoModelForCausalLM

    import merge.bundles.mixture  # noqa: F401

    first, second = make_llama(0), make_llama(1)
    second.model.embed_tokens.weight.data = first.model.embed_tokens.weight.data.clone()
    second.model.layers[0].load_state_dict(first.model.layers[0].state_dict())
    save(first, here / "a")
    save(second, here / "b")
    assert cli("moe", "a", "b", "--copy", "-o", "mix").code == 0
    model = AutoModelForCausalLM.from_pretrained(here / "mix")
    tokens = torch.arange(7, 17)[None]
    torch.testing.assert_close(model(tokens).logits, averaged((first, second), tokens), atol=1e-5, rtol=0)
    embeddings = {expert.get_input_embeddings().weight.data_ptr() for expert in model.experts}
    assert len(embeddings) == 1


def test_the_lines_of_the_page_run_in_a_session_of_their_own(experts, here, cli):
    assert cli("moe", "a", "b", "-o", "mixture").code == 0
    (lines,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "AutoModel" in block)
    done = subprocess.run(
        [sys.executable, "-c", lines],
        check=False,
        capture_output=True,
        text=True,
        cwd=here,
        env=environment(HF_HUB_OFFLINE="1"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the cat")


def test_other_vocabularies_are_refused_before_anything_is_written(here, cli):
    save(make_llama(0), here / "a")
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["bird"])
    other = make_llama(1, vocab_size=len(tokenizer))
    save(other, here / "b", tokenizer)
    assert_refused(cli("moe", "a", "b", "-o", "mix"), 1, "bird", "--align")
    assert not (here / "mix").exists()
    assert cli("moe", "a", "b", "--align", "intersection", "-o", "mix").code == 0


def test_a_mixture_of_a_language_model_and_something_else_is_refused(here, cli):
    from tiny_models import make_classifier

    save(make_gpt2(seed=0), here / "a")
    make_classifier(0).save_pretrained(here / "b")
    assert_refused(cli("moe", "a", "b", "-o", "mix"), 1, "b", "no causal language model")
    assert not (here / "mix").exists()
