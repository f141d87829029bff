"""What may be an expert of a mixture of language models: seen before weights are read, and said."""

from __future__ import annotations

import pytest
from bundled_language_models import gpt2, llama, mistral
from command_line import assert_refused
from tiny_language_models import make_bert, make_t5, make_tokenizer, save, vocabulary_size


def mamba(seed):
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(seed)
    return MambaForCausalLM(MambaConfig(vocab_size=60, hidden_size=8, num_hidden_layers=1, state_size=2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_t5, ("T5ForConditionalGeneration", "answers to a text")),
        (mamba, ("MambaForCausalLM cannot be an expert", "cache of keys and values")),
    ],
    ids=["answers", "no keys and values"],
)
@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_what_cannot_be_an_expert_is_refused_when_the_bundle_is_made(here, cli, make, words, flags):
    for seed, name in enumerate("ab"):
        save(make(seed), here / name)
    assert_refused(cli("moe", "a", "b", "-o", "mix", *flags), 1, "a: ", *words)
    assert not (here / "mix").exists()


def test_a_tokenizer_of_another_model_is_refused_when_the_bundle_is_made(here, cli):
    save(llama(0), here / "a")
    save(llama(1, vocab_size=vocabulary_size() - 3), here / "b")
    assert_refused(cli("moe", "a", "b", "-o", "mix"), 1, "b: ", f"outputs for the {vocabulary_size()} tokens")


def test_vocabularies_are_compared_before_weights_are_read(here, cli, monkeypatch):
    import merge.bundles.writing

    def read(*_):
        raise AssertionError("weights were read")

    monkeypatch.setattr(merge.bundles.writing, "tensor_digests", read)
    save(gpt2(0), here / "a")
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["bird"])
    save(gpt2(1, vocab_size=len(tokenizer)), here / "b", tokenizer)
    assert_refused(cli("moe", "a", "b", "-o", "mix"), 1, "bird", "--align")


def test_a_member_without_a_tokenizer_is_said(here, cli):
    save(llama(0), here / "a")
    mistral(1).save_pretrained(here / "b")
    result = cli("moe", "a", "b", "-o", "mix")
    assert result.code == 0, result.err
    assert "No tokenizer lies beside b" in result.out
    assert not (here / "mix" / "config.json").exists()
    assert "import merge.bundles.mixture" in cli("moe", "a", "a", "-o", "both").out


def test_masked_language_models_are_for_classifying(here, cli):
    for seed, name in enumerate("ab"):
        save(make_bert(seed=seed), here / name)
    result = cli("moe", "a", "b", "-o", "mix")
    assert result.code == 0, result.err
    assert "transformers" not in result.out
    (here / "text.txt").write_text("the cat said yes. " * 5)
    (here / "text.yaml").write_text("name: text\nkind: perplexity\ndata: {path: text.txt}\n")
    assert_refused(cli("eval", "mix", "--benchmark", "text.yaml"), 1, "does not predict the next token")


def test_every_expert_is_built_once_for_its_row_and_the_mixture(here, cli, monkeypatch):
    from merge.evaluation.kinds.perplexity import PerplexityTask

    built = []
    build = PerplexityTask.model
    monkeypatch.setattr(PerplexityTask, "model", lambda task, one: built.append(one.name) or build(task, one))
    for seed, name in enumerate("ab"):
        save(llama(seed), here / name)
    (here / "text.txt").write_text("the cat said yes. " * 5)
    (here / "text.yaml").write_text("name: text\nkind: perplexity\ndata: {path: text.txt}\n")
    assert cli("moe", "a", "b", "-o", "mix").code == 0
    result = cli("eval", "mix", "--benchmark", "text.yaml")
    assert result.code == 0, result.err
    assert built == ["../a", "../b"]


def test_an_ensemble_compares_vocabularies_before_any_model_runs(here, cli, monkeypatch):
    from merge.evaluation.kinds.perplexity import PerplexityTask

    save(llama(0), here / "a")
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["bird"])
    save(llama(1, vocab_size=len(tokenizer)), here / "b", tokenizer)
    (here / "text.txt").write_text("the cat said yes. " * 5)
    (here / "text.yaml").write_text("name: text\nkind: perplexity\ndata: {path: text.txt}\n")
    monkeypatch.setattr(PerplexityTask, "model", lambda *_: pytest.fail("a model was built"))
    together = ("--ensemble", "logits", "--benchmark", "text.yaml")
    assert_refused(cli("eval", "a", "b", *together), 1, "the vocabularies differ", "bird")
    (here / "again.yaml").write_text("name: again\nkind: perplexity\ndata: {path: text.txt}\n")
    assert_refused(cli("eval", "a", "b", *together, "--benchmark", "again.yaml"), 1, "the vocabularies differ", "bird")
    assert cli("moe", "a", "a", "-o", "mix").code == 0
    assert_refused(cli("eval", "a", "mix", *together), 2, "mix: this is a bundle")


def test_an_ensemble_ends_texts_where_its_members_do(here):
    """A folder's generation settings hold for the ensemble as for its members, and for a bundle of them."""
    from merge.evaluation.ensemble import make_ensemble
    from merge.evaluation.locate import locate
    from merge.evaluation.task import Settings

    class Task:
        """Remembers where it was told that generation settings lie."""

        n, folders = 1, []

        def item_digests(self):
            return set()

        def evaluate(self, candidate):
            raise NotImplementedError

        def model(self, candidate):
            from merge.evaluation.language.network import load_language_model

            return load_language_model(candidate, None, Settings())

        def run(self, model, folder):
            self.folders.append(folder)

    for seed, name in enumerate("ab"):
        save(llama(seed), here / name)
    make_ensemble({}, {name: locate(name) for name in "ab"}, None, Task(), "logits")
    assert [folder.resolve() for folder in Task.folders] == [here / "a"]


def test_an_expert_has_the_type_of_most_of_its_weights(here, cli):
    """Norms in float32 do not double the memory of an expert in bfloat16."""
    import json

    import torch

    save(llama(0), here / "a")
    other = llama(1).to(torch.bfloat16)
    other.model.norm.to(torch.float32)
    save(other, here / "b")
    assert cli("moe", "a", "b", "-o", "mix").code == 0
    config = json.loads((here / "mix" / "config.json").read_text())
    assert [expert["dtype"] for expert in config["experts"]] == ["float32", "bfloat16"]
