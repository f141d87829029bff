"""What adapter_config.json says: which kind of adapter it is, and rank and scale of every module."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.checkpoint import read_json_object
from ..errors import MergeError

CONFIG = "adapter_config.json"
READ_KINDS = ("LORA", "LOHA", "LOKR")
# Ways to train LoRA whose outcome is not a matrix added to the weight that the base has.
_NO_SUM = {
    "alora_invocation_tokens": "acts only after certain tokens (aLoRA)",
    "arrow_config": "chooses among adapters token by token (Arrow)",
    "use_qalora": "pools its inputs in groups (QALoRA)",
    "use_bdlora": "has block-diagonal factors (BD-LoRA)",
    "kasa_config": "cuts singular values off the base (KaSA)",
    "monteclora_config": "samples its weights (MonteCLoRA)",
    "layer_replication": "repeats layers of the base",
    "target_parameters": "adapts parameters that are no layer of their own (target_parameters)",
}
# Ways to start that take something off the base, which lies in the memory of the training run alone.
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_BAKE = "let PEFT bake it with merge_and_unload(), and name the folder with the outcome"


@dataclass(frozen=True)
class AdapterConfig:
    """The settings that decide what an adapter's tensors mean.

    Attributes:
        where: The file, for messages.
        values: Everything that it says.
    """

    where: str
    values: Mapping[str, Any]

    def flag(self, key: str) -> bool:
        """Return a setting that is true or false; false where it is not given."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise MergeError(f"'{key}' is neither true nor false: {value!r}", where=self.where)
        return bool(value)

    def rank(self, module: str) -> int:
        """Return the rank of a module's factors: of the first pattern that fits, else the common one."""
        rank = self._number("rank_pattern", "r", module)
        if rank != int(rank):
            raise MergeError(f"the rank of '{module}' is no whole number: {rank}", where=self.where)
        return int(rank)

    def scaling(self, module: str) -> float:
        """Return the factor of a module's product: alpha over its rank, or over the root of that (rsLoRA, 2023)."""
        rank = self.rank(module)
        alpha = self._number("alpha_pattern", "lora_alpha" if self.is_lora else "alpha", module)
        return alpha / (math.sqrt(rank) if self.flag("use_rslora") else rank)

    @property
    def is_lora(self) -> bool:
        """Whether it is of LoRA, and not of LoHa or LoKr."""
        return str(self.values.get("peft_type", READ_KINDS[0])).upper() == READ_KINDS[0]

    def _number(self, patterns: str, common: str, module: str) -> float:
        value = self._pattern_value(patterns, module, self.values.get(common))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        sound = is_number and abs(value) <= sys.float_info.max  # an integer may be beyond all floats
        if not sound or (common == "r" and value <= 0):
            raise MergeError(f"'{common}' of '{module}' is no sound number: {value!r}", where=self.where)
        return float(value)

    def _pattern_value(self, key: str, module: str, common: Any) -> Any:
        found = self.values.get(key) or {}
        if not isinstance(found, Mapping):
            raise MergeError(f"'{key}' is no mapping from modules to numbers", where=self.where)
        return next((value for pattern, value in found.items() if self._is_end(key, pattern, module)), common)

    def _is_end(self, key: str, pattern: str, module: str) -> bool:
        """Tell whether a pattern is the module's name or its end after a dot, as PEFT matches."""
        try:
            return re.match(rf"(.*\.)?({pattern})$", module) is not None
        except re.error as error:
            raise MergeError(
                f"'{key}' has a pattern that cannot be read, '{pattern}': {error}", where=self.where
            ) from None

    def names(self, key: str) -> tuple[str, ...]:
        """Return a setting that lists names, or gives one."""
        value = self.values.get(key) or ()
        value = (value,) if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise MergeError(f"'{key}' is no list of names: {value!r}", where=self.where)
        return tuple(value)

    def saves_whole(self, module: str) -> bool:
        """Tell whether a module's own tensors were trained instead of a product."""
        return any(module == name or module.endswith(f".{name}") for name in self.names("modules_to_save"))


def read_config(folder: Path) -> AdapterConfig:
    """Read the settings of an adapter.

    Raises:
        MergeError: There are none, or the adapter is of a kind that cannot be baked.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise no_config(str(folder))
    config = AdapterConfig(str(path), read_json_object(path))
    _check_kind(config)
    for key, reason in _NO_SUM.items():
        if config.values.get(key):
            raise MergeError(f"this adapter {reason}, which is not read", where=config.where, hint=_BAKE)
    start = str(config.values.get("init_lora_weights")).lower()
    if start.startswith(_CHANGED_BASE):
        what = f"its training started from a changed base ('init_lora_weights' is '{start}')"
        hint = "save it with path_initial_model_for_weight_conversion, which makes a common LoRA of it"
        raise MergeError(what, where=config.where, hint=hint)
    return config


def no_config(where: str) -> MergeError:
    """Return the error for an adapter without its settings."""
    hint = "an adapter needs it for its rank and scale; save it with PEFT's save_pretrained"
    return MergeError(f"has no {CONFIG}", where=where, hint=hint)


def _check_kind(config: AdapterConfig) -> None:
    kind = config.values.get("peft_type")
    if not isinstance(kind, str):
        raise MergeError("states no 'peft_type'", where=config.where, hint="is it the configuration of an adapter?")
    if kind.upper() not in READ_KINDS:
        read = ", ".join(READ_KINDS)
        raise MergeError(f"the adapter is of type {kind}; read are: {read}", where=config.where, hint=_BAKE)
