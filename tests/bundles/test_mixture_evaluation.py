"""A mixture under perplexity and lm-evaluation-harness, as any language model in memory."""

from __future__ import annotations

import json
import math

import pytest
import torch
from bundled_language_models import llama, mistral, mixture
from tiny_language_models import make_tokenizer

from merge.bundles.vocabulary import common_vocabulary
from merge.evaluation.language.network import LanguageModel
from merge.evaluation.language.perplexity import outcome_of
from merge.evaluation.language.scores import reading, score_documents
from merge.evaluation.task import Settings

TEXTS = ["a cat, a dog and 3 cats: no, yes! was it so?", "the dog said yes, the cat said no and went."] * 2
DOCUMENTS = [{"question": f"is a {'cat' if n % 3 else 'dog'} a dog, {n}?", "label": n % 2} for n in range(12)]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
doc_to_text: "{{{{question}}}}"
{more}
"""
CHOICE = """
output_type: multiple_choice
doc_to_choice: ["yes", "no", "cat dog cat"]
doc_to_target: label
metric_list: [{metric: acc}]
"""
WRITING = """
output_type: generate_until
doc_to_target: "{{['yes', 'no'][label]}}"
generation_kwargs: {until: ["?"], max_gen_toks: 6}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def language_model(network):
    network.config.use_cache = False  # as load_language_model does
    return LanguageModel(network, make_tokenizer(), "causal", "mixture", "cpu", "float32")


def nats(network):
    """Nats per token of the texts by a plain loop; each begins with the first token of all texts."""
    tokenizer, total, count = make_tokenizer(), 0.0, 0
    for text in TEXTS:
        tokens = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]])[:, -48:]
        total += float(network(tokens, labels=tokens).loss) * (tokens.shape[1] - 1)
        count += tokens.shape[1] - 1
    return total / count


def perplexity(network):
    model = language_model(network)
    settings = Settings(batch_size=3)
    how = reading(model, 48, 24, "here")
    outcome = outcome_of(score_documents(model, TEXTS, how, settings), TEXTS, model, how, 0)
    return outcome.measures[0].value


def experts():
    return mistral(0, max_position_embeddings=64), llama(1, max_position_embeddings=64)


def test_perplexity_and_its_bound():
    tokenizers = [make_tokenizer(), make_tokenizer()]
    model = mixture(*experts(), vocabulary=common_vocabulary(tokenizers, ["one", "two"]))
    found = perplexity(model)
    assert found == pytest.approx(math.exp(nats(model)), rel=1e-4)
    single = [perplexity(expert) for expert in experts()]
    assert math.log(found) <= sum(map(math.log, single)) / 2
    assert language_model(model).context() == 64


@pytest.mark.slow
@pytest.mark.parametrize("more", [CHOICE, WRITING], ids=["choosing", "writing"])
def test_the_harness_says_of_copies_what_it_says_of_the_one(tmp_path, monkeypatch, more):
    import datasets

    from merge.evaluation.language.harness_run import run_task
    from merge.evaluation.language.harness_tasks import HarnessData, load_task

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    file = tmp_path / "documents.jsonl"
    file.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "animals.yaml").write_text(TASK.format(name="animals", file=file, more=more))
    task = load_task(HarnessData("animals", ("animals",), tmp_path / "tasks", None, "here"))

    def results(network):
        found, _ = run_task(
            task, language_model(network), Settings(batch_size=4), folder=None, num_fewshot=0, limit=None
        )
        return [(sample["resps"], sample["filtered_resps"]) for sample in found["samples"]["animals"]]

    one = llama(1, max_position_embeddings=64)
    wanted = results(one)
    assert len(wanted) == len(DOCUMENTS)
    assert results(mixture(one, one)) == wanted
    assert results(mixture(*experts())) != wanted
