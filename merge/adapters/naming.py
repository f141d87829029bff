"""Which tensor of the base a module of an adapter means: names that differ by a prefix, layers that the base lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..checkpoints.checkpoint import FileCheckpoint
from ..checkpoints.header import TensorInfo
from ..errors import MergeError
from ..planning.names import has_head, is_tied, match_names
from .config import AdapterConfig
from .contents import Contents
from .loaded_names import loaded_names

OUTPUT = ".out_proj"
_JOINT = "in_proj_weight"  # queries, keys and values of torch's attention in one parameter
_FOREIGN = ("lora_down", "lora_up", "hada_", "lokr_", "oft_", "dora_scale", "lora_te")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "shared.weight", "word_embeddings.weight")
HEADS = ("lm_head.weight", "output.weight")


@dataclass(frozen=True)
class _Wanted:
    tensors: Mapping[str, TensorInfo]


class Names:
    """The base's tensors under the names that the adapter has for them.

    Attributes:
        notes: What was resolved, in words.
        trained_on: A hint that says which base the adapter was trained on.

    Raises:
        MergeError: The adapter names tensors that the base lacks.
    """

    def __init__(self, contents: Contents, config: AdapterConfig, base: FileCheckpoint, where: str) -> None:
        self._contents, self._config, self._base, self._where = contents, config, base, where
        trained_on = config.values.get("base_model_name_or_path")
        self.trained_on = f"it was trained on {trained_on}" if trained_on else "is it an adapter of another base?"
        self._weights = {module: f"{module}.weight" for module in [*contents.factors, *contents.tokens]}
        biases = [f"{module}.bias" for module, parts in contents.factors.items() if "lora_B.bias" in parts]
        self._found = self._match([*self._weights.values(), *biases, *contents.whole])
        self._find_joint()
        self._check_modules(biases)
        self._check_whole()

    def _match(self, names: Iterable[str]) -> dict[str, TensorInfo]:
        wanted = _Wanted({name: TensorInfo(name, "U8", (), 0, 0, 1) for name in names})
        matched = match_names(wanted, self._base)
        found = {name: tensor for name, tensor in matched.tensors.items() if _is_same(name, tensor.name)}
        self.notes = [f"the base {note}" for note in matched.notes if "prefix" in note]
        self._refuse_ambiguous(found)
        lacking = [name for name in wanted.tensors if name not in found]
        return found | self._as_loaded(lacking) if lacking and self._base.config.get("architectures") else found

    def _as_loaded(self, lacking: list[str]) -> dict[str, TensorInfo]:
        """Return tensors that transformers renames when it loads the base, which PEFT has seen under these names."""
        by_name = loaded_names(self._base)
        found = {name: self._base.tensors[by_name[name]] for name in lacking if by_name.get(name, name) != name}
        if found:
            self.notes.append("the base has older names, which are those that transformers gives them when it loads it")
        return found

    def _refuse_ambiguous(self, found: Mapping[str, TensorInfo]) -> None:
        """Refuse names that fit several tensors of the base with one prefix or another: of encoder and decoder."""
        for name, tensor in found.items():
            longer = (
                [known for known in self._base.tensors if known.endswith(f".{name}")] if name != tensor.name else []
            )
            if len(longer) > 1:
                what = f"adapts '{name}', which may be '{longer[0]}' or '{longer[1]}' of {self._base.location}"
                raise MergeError(what, where=self._where, hint=self.trained_on)

    def _find_joint(self) -> None:
        """Let what adapts torch's attention as a whole mean its joint parameter."""
        for module, name in self._weights.items():
            joint = f"{module}.{_JOINT}"
            if name not in self._found and joint in self._base.tensors:
                self._weights[module], self._found[joint] = joint, self._base.tensors[joint]

    def _check_modules(self, biases: list[str]) -> None:
        lacking = [name for name in [*self._weights.values(), *biases] if name not in self._found]
        if lacking:
            count = f" ({len(lacking)} such)" if len(lacking) > 1 else ""
            tied = "; it ties that to its embedding" if lacking[0].endswith(HEADS) else ""
            what = f"adapts '{lacking[0]}', which {self._base.location} does not have{tied}{count}"
            raise MergeError(what, where=self._where, hint=self.trained_on)

    def _check_whole(self) -> None:
        for name in self._contents.whole:
            saved = self._config.saves_whole(name.rpartition(".")[0])
            if saved:
                self._refuse_apart(name)
            if name in self._found or saved or self.is_tied_copy(name):
                continue
            foreign = any(word in name for word in _FOREIGN)
            hint = "this is the form of kohya and LyCORIS, which is not read; PEFT's is" if foreign else self.trained_on
            what = f"holds '{name}', which is no tensor of {self._base.location} and none that PEFT writes for it"
            raise MergeError(what, where=self._where, hint=hint)

    def _refuse_apart(self, name: str) -> None:
        """Refuse one of a tied pair that PEFT trained as a copy of its own: the other one stays the base's."""
        if not self._ties or self._config.flag("ensure_weight_tying"):
            return
        if name.endswith(HEADS) or (name.endswith(EMBEDDINGS) and has_head(self._base.config)):
            other = "embedding" if name.endswith(HEADS) else "output matrix"
            what = f"trains '{name}' apart from the {other}, and the base ties the two"
            hint = "untie them in the base first (tie_word_embeddings)"
            raise MergeError(what, where=self._where, hint=hint)

    @property
    def _ties(self) -> bool:
        return is_tied(self._base.config)

    def is_tied_copy(self, name: str) -> bool:
        """Tell whether a tensor is the output matrix that PEFT saves beside a tied embedding, and the base does not."""
        has_embedding = any(whole.endswith(EMBEDDINGS) for whole in self._contents.whole)
        return self._ties and has_embedding and name.endswith(HEADS) and name not in self._found

    def attention_of(self, module: str) -> str | None:
        """Return the attention of torch's own kind whose output layer this is, and which is adapted with it."""
        attention = module.removesuffix(OUTPUT)
        is_joint = attention != module and self._weights.get(attention, "").endswith(_JOINT)
        return attention if is_joint else None

    def whole(self, name: str) -> TensorInfo | None:
        """Return the base's tensor of this name, if it has one."""
        return self._found.get(name)

    def weight(self, module: str) -> TensorInfo:
        """Return the base's weight of a module."""
        return self._found[self._weights[module]]

    def bias(self, module: str) -> TensorInfo:
        """Return the base's bias of a module."""
        return self._found[f"{module}.bias"]


def _is_same(name: str, found: str) -> bool:
    """Tell names that differ by a prefix from tied twins, on which an adapter means something else."""
    return name.endswith(found) or found.endswith(name)
