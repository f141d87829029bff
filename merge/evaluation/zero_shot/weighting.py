"""Zero-shot prompt ensembling: templates weighted by how well they suit unlabelled images.

Allingham et al. 2023, "A Simple Zero-shot Prompt Weighting Technique to Improve Prompt Ensembling in Text-Image
Models", arXiv:2302.06235. The score of a template is the mean over images of the largest normalised logit over classes,
a logit being a cosine here. A normalised logit is the logit minus the mean, for this template and class, of what test
images and pre-training images give; without pre-training images, of what test images give. The weights are the scores'
softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

IMAGES_AT_A_TIME = 4096


def template_scores(embeddings: Tensor, images: Tensor, pretraining: Tensor | None = None) -> Tensor:
    """Return the score of every template [templates], float64.

    Args:
        embeddings: Of the prompts [classes, templates, size], normalised.
        images: Features of the images to classify [n, size], normalised; no label is used.
        pretraining: Features of images like those of pre-training [m, size], normalised.
    """
    import torch

    means = images.double().mean(dim=0)
    if pretraining is not None:
        means = (means + pretraining.double().mean(dim=0)) / 2
    scores = []
    for template in embeddings.double().unbind(dim=1):
        expected = template @ means  # the mean of cosines is the cosine-like product with the mean feature
        parts = torch.split(images, IMAGES_AT_A_TIME)
        largest = [(part.double() @ template.T - expected).max(dim=1).values.sum() for part in parts]
        scores.append(torch.stack(largest).sum() / len(images))
    return torch.stack(scores)


def template_weights(embeddings: Tensor, images: Tensor, pretraining: Tensor | None = None) -> Tensor:
    """Return the weight of every template [templates], float64; they sum to 1."""
    return template_scores(embeddings, images, pretraining).softmax(dim=0)
