"""All targets, by name."""

from __future__ import annotations

from fuzz_of_adapters import ADAPTERS
from fuzz_of_checkpoints import CHECKPOINTS
from fuzz_of_configs import CONFIGS
from fuzz_of_data import DATA
from fuzz_of_outputs import OUTPUTS
from fuzz_of_records import RECORDS
from fuzz_of_requests import REQUESTS
from fuzz_of_statistics import STATISTICS
from fuzz_of_tokens import TOKENIZERS
from fuzz_target import Target

_ALL = (*CHECKPOINTS, *CONFIGS, *ADAPTERS, *REQUESTS, *STATISTICS, *OUTPUTS, *RECORDS, *TOKENIZERS, *DATA)
TARGETS: dict[str, Target] = {target.name: target for target in _ALL}
