"""The commands of the pages that no test runs, each with the reason; they are parsed by the tool's own command line."""

from __future__ import annotations

INSTALLS = "installs packages; test_packaging.py builds and installs the wheel"
HUB = "downloads models and data sets of the hub"
CLUSTER = "needs a cluster that is running; tests/distributed starts one of its own"
SHELL = "changes the files of a shell, or needs one; tests/completion_shells tries it in shells"
OTHERS = "a program of somebody else"

NOT_RUN = {
    "pip install . && merge demo": f"{INSTALLS}; test_demo.py runs the demo",
    "pip install -e '.[dev]' && pytest": INSTALLS,
    "merge eval merged.st --model hf:openai/clip-vit-base-patch32 --benchmark clip-8": HUB,
    "merge eval clip expert merged --benchmark medical-corruptions --benchmark medical-novel --report report": HUB,
    "merge ties /shared/a /shared/b --base /shared/base -o /shared/out --engine ray --address 10.0.0.1:6379": CLUSTER,
    "torchrun --nproc-per-node 8 your_evaluation.py --model out/": OTHERS,
    "lm_eval --model vllm --model_args pretrained=out,tensor_parallel_size=8 --tasks gsm8k": OTHERS,
    "merge --install-completion": SHELL,
    "merge --show-completion": SHELL,
    "aws s3 rm s3://bucket/.merged.merging": OTHERS,
}

# Pages whose commands install, or measure for minutes, and whose other blocks are what was printed.
SCRIPTS_ALONE = (
    "CONTRIBUTING.md",
    "agreement.md",
    "alignment-numbers.md",
    "benchmarks/README.md",
    "bundles-numbers.md",
    "completion.md",
    "many-models-numbers.md",
    "medical.md",
    "numerical-safety.md",
    "performance.md",
    "quality.md",
    "reliability.md",
)
