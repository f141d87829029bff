"""The documents that tasks of lm-evaluation-harness ask about, and their answers by a plain loop."""

from __future__ import annotations

import numpy as np
import torch

DOCUMENTS = [{"question": f"is a {'cat' if n % 3 else 'dog'} a dog, {n}?", "label": n % 2} for n in range(24)]


def rows(evaluation, model=None):
    return {row["metric"]: row for row in evaluation.results if model is None or row["model"] == str(model)}


def by_hand(folder):
    return np.array(choices_by_hand(folder)) == [document["label"] for document in DOCUMENTS]


def choices_by_hand(folder):
    """What is chosen for every document, by a plain loop over transformers: the sum of log-probabilities decides."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    chosen = []
    for document in DOCUMENTS:
        scores = []
        question = tokenizer(document["question"]).input_ids
        for choice in (" yes", " no", " cat dog cat"):
            answer = tokenizer(choice).input_ids
            with torch.no_grad():
                logits = model(torch.tensor([question + answer])).logits[0].log_softmax(-1)
            scores.append(sum(logits[len(question) - 1 + place, token] for place, token in enumerate(answer)))
        chosen.append(int(torch.stack(scores).argmax()))
    return chosen
