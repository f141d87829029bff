"""Tasks for lm-evaluation-harness over one file of documents, a language model, and what the harness finds itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from harness_case import DOCUMENTS
from tiny_language_models import make_llama, save

CHOICE = """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["yes", "no", "cat dog cat"]
doc_to_target: label
metric_list: [{metric: acc}, {metric: acc_norm}]
fewshot_split: test
"""
ROLLING = """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
"""
GENERATION = """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{['yes', 'no'][label]}}"
generation_kwargs: {until: ["?"], max_gen_toks: 6}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - {name: word, filter: [{function: regex, regex_pattern: "(yes|no)"}, {function: take_first}]}
  - {name: whole, filter: [{function: take_first}]}
"""


@pytest.fixture(scope="session")
def tasks(tmp_path_factory):
    """A folder of task files over one file of documents; the data library keeps its cache beside them."""
    folder = tmp_path_factory.mktemp("harness")
    (folder / "documents.jsonl").write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    (folder / "tasks").mkdir()
    files = json.dumps({"test": str(folder / "documents.jsonl")})
    data = f"dataset_path: json\ndataset_kwargs: {{data_files: {files}}}\ntest_split: test\n"
    bodies = {"animals": CHOICE, "beasts": CHOICE, "birds": CHOICE, "rolling": ROLLING, "answers": GENERATION}
    bodies["correlated"] = CHOICE.replace("{metric: acc}, {metric: acc_norm}", "{metric: mcc}")
    bodies["code"] = GENERATION + "unsafe_code: true\n"
    bodies["broken"] = CHOICE.replace("{{question}}", "{{question")
    for name, body in bodies.items():
        (folder / "tasks" / f"{name}.yaml").write_text(f"task: {name}\n{data}{body}")
    (folder / "tasks" / "remote.yaml").write_text(f"task: remote\ndataset_path: org/absent\ntest_split: test{CHOICE}")
    group = "group: {}\ntask: [beasts, birds]\n"
    (folder / "tasks" / "bare.yaml").write_text(group.format("bare"))
    total = "aggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    (folder / "tasks" / "total.yaml").write_text(group.format("total") + total)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tasks, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tasks / "cache")


@pytest.fixture(scope="session")
def llama(tasks):
    return save(make_llama(max_position_embeddings=64), tasks / "llama")


@pytest.fixture
def spec(tasks, tmp_path):
    def write(names="animals", more=""):
        path = tmp_path / "bench.yaml"
        path.write_text(f"name: zoo\nkind: lm-eval\ntasks: {names}\ninclude_path: {tasks}/tasks\n{more}")
        return str(path)

    return write


@pytest.fixture(scope="session")
def own_results(tasks, llama):
    """What ``lm_eval`` finds as a program of its own; it takes long to list all of its tasks."""
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={llama}"]
    command += ["--tasks", "animals,answers,total", "--include_path", str(tasks / "tasks"), "--device", "cpu"]
    command += ["--output_path", str(tasks / "own"), "--log_samples", "--seed", "0", "--batch_size", "3"]
    command += ["--num_fewshot", "2", "--limit", "20"]
    environment = os.environ | {"HF_HOME": str(tasks / "cache"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=tasks)
    return json.loads(next((tasks / "own").glob("*/results_*.json")).read_text())
