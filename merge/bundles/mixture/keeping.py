"""The experts of a mixture as its parts: shared matrices, devices, folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import transformers
from torch import nn

from ...errors import MergeError, UsageError
from .config import LogitMixtureConfig
from .embeddings import are_apart, copies, move, tie, ties
from .loading import load

Model: Any = transformers.PreTrainedModel


class ExpertsModel(Model):  # type: ignore[misc]
    """A model of transformers whose parts are whole models.

    Their parameters take no gradient unless ``unfreeze`` is called.

    Args:
        config: What the mixture is made of.
        experts: Networks with their weights; None: new ones after the configuration, for weights to be loaded.
    """

    config_class = LogitMixtureConfig
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    def __init__(self, config: LogitMixtureConfig, experts: Sequence[Any] | None = None) -> None:
        config.combination.check(len(config.experts))
        wanted = config._attn_implementation
        super().__init__(config)
        if experts is None:
            options = {} if wanted is None else {"attn_implementation": wanted}
            automatic: Any = transformers.AutoModelForCausalLM
            experts = [automatic.from_config(each, **options) for each in config.expert_configs()]
        else:
            for module in nn.ModuleList(experts).modules():
                module._is_hf_initialized = True  # type: ignore[assignment]  # or new weights would be drawn
        self.experts = nn.ModuleList(experts)
        self.requires_grad_(False)
        self._tied_weights_keys = ties(experts, config.shared_input_embeddings)
        self.post_init()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *arguments: Any, **options: Any) -> Any:
        """Return the mixture in a folder: of its own weights, or of members elsewhere that its ``merge.json`` names.

        Args:
            pretrained_model_name_or_path: The folder, or an id of the hub.
            arguments: As for any model.
            options: As for any model; ``device_map`` may be a list of one device for each expert.

        Raises:
            MergeError: A member is missing, or not what it was.
        """
        return load(cls, super().from_pretrained, pretrained_model_name_or_path, *arguments, **options)

    def save_pretrained(self, save_directory: Any, *arguments: Any, **options: Any) -> None:
        """Write everything into a folder; input embeddings that all experts share are written once."""
        for expert, settings in zip(self.experts, self.config.experts, strict=True):
            settings["dtype"] = str(expert.dtype).removeprefix("torch.")
        dropped = copies(list(self.experts)) if self.config.shared_input_embeddings else set()
        tensors = options.pop("state_dict", None) or self.state_dict()
        kept = {name: tensor for name, tensor in tensors.items() if name not in dropped}
        super().save_pretrained(save_directory, *arguments, state_dict=kept, **options)

    def place(self, devices: Sequence[Any]) -> Self:
        """Bring each expert to a device of its own; inputs and outputs are on the first one's.

        Args:
            devices: One of each expert.

        Raises:
            UsageError: There are more or fewer devices than experts.
        """
        if len(devices) != len(self.experts):
            raise UsageError(f"{len(devices)} devices for {len(self.experts)} experts")
        move(list(self.experts), devices)
        self.tie_weights()
        return self

    def unfreeze(self) -> Self:
        """Let all parameters be trained. Raises MergeError where a shared matrix has copies on several devices."""
        if self.config.shared_input_embeddings and are_apart(list(self.experts)):
            raise MergeError("the experts' shared input embeddings are on several devices, and would drift apart")
        self.requires_grad_(True)
        return self

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """Return which parameters are another one, between experts and within them."""
        return ties(list(self.experts), self.config.shared_input_embeddings)

    def _tie_weights(self) -> None:
        """Let experts share what they have in common: what transformers before version 5 calls after loading."""
        tie(list(self.experts), self.config.shared_input_embeddings)

    def get_input_embeddings(self) -> Any:
        """Return the first expert's matrix; of aligned vocabularies a table with one row of each token."""
        if self.config.token_maps is not None:
            return nn.Embedding(self.config.vocab_size, 1, device="meta")
        first: Any = self.experts[0]
        return first.get_input_embeddings()

    def get_output_embeddings(self) -> None:
        """Return None: every expert has an output layer of its own."""

    def resize_token_embeddings(self, *arguments: Any, **options: Any) -> Any:
        """Refuse. Raises UsageError."""
        raise UsageError("a mixture's vocabulary cannot be resized; resize the experts' and make a new mixture")

    @classmethod
    def register_for_auto_class(cls, auto_class: object = "AutoModel") -> None:
        """Do nothing: what ``save_pretrained`` writes is all the code that a folder needs."""
