"""Several causal language models as one model of transformers: all of them run, and their outputs are averaged.

Importing this module makes folders with such a model known to transformers::

    import merge.bundles.mixture
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained("mixture/")
    tokenizer = AutoTokenizer.from_pretrained("mixture/")
    tokens = tokenizer("Once upon a time", return_tensors="pt")
    print(tokenizer.decode(model.generate(**tokens, max_new_tokens=20)[0]))
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from .cache import MixtureCache
from .config import LogitMixtureConfig
from .network import LogitMixtureForCausalLM

__all__ = ["LogitMixtureConfig", "LogitMixtureForCausalLM", "MixtureCache"]

AutoConfig.register(LogitMixtureConfig.model_type, LogitMixtureConfig, exist_ok=True)
AutoModelForCausalLM.register(LogitMixtureConfig, LogitMixtureForCausalLM, exist_ok=True)
