"""One model over one task by lm-evaluation-harness, with the result files that the harness itself writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ...reports.folders import HARNESS
from ..file_names import file_name
from .harness_model import Progress, harness_model
from .harness_tasks import LoadedTask
from .portions import Portions
from .quiet_harness import quiet_harness

if TYPE_CHECKING:
    from ..task import Settings
    from .network import LanguageModel

BOOTSTRAPS = 100  # for the harness's standard errors that have no formula; its default takes minutes for F1


def run_task(
    task: LoadedTask,
    model: LanguageModel,
    settings: Settings,
    *,
    folder: Path | None,
    num_fewshot: int | None,
    limit: float | None,
) -> tuple[dict[str, Any], list[str]]:
    """Return what ``simple_evaluate`` does, with the samples, and notes; write the files where there is a report.

    Args:
        task: The task.
        model: The model.
        settings: Batch size, seed, and where files go.
        folder: Where the model's generation settings may lie.
        num_fewshot: Worked examples before each question; None: what the task says.
        limit: The most documents of each task, or below 1 a share of them.

    Raises:
        MergeError: The model does not run on the task, or the files cannot be written.
    """
    with quiet_harness():
        tracker = _tracker(settings.output)
        harnessed = harness_model(model, settings.batch_size, folder)
        progress = Progress(Portions(max(1, _requests(task)), task.n, settings.advance))
        harnessed.set_cache_hook(progress)
        found = _evaluate(task, harnessed, model, tracker, settings, num_fewshot, limit)
        progress.finish()
        if tracker is not None:
            _write(tracker, found, settings.output, model.name)
        return found, harnessed.notes


def _evaluate(
    task: LoadedTask,
    harnessed: Any,
    model: LanguageModel,
    tracker: Any,
    settings: Settings,
    num_fewshot: int | None,
    limit: float | None,
) -> dict[str, Any]:
    from lm_eval import simple_evaluate

    seed = settings.seed
    try:
        found: dict[str, Any] = simple_evaluate(
            harnessed,
            model_args={"pretrained": _folder_name(model.name)},  # how the files call it; nothing is loaded by it
            tasks=[task.content],
            task_manager=task.manager,
            num_fewshot=num_fewshot,
            limit=limit,
            batch_size=settings.batch_size,
            device=settings.device,
            bootstrap_iters=BOOTSTRAPS,
            log_samples=True,
            evaluation_tracker=tracker,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
        )
    except Exception as error:  # tasks bring code of their own, and models fail at inputs in any way
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise MergeError(f"lm-evaluation-harness fails on this model: {first_line}", where=model.name) from error
    return found


def _requests(task: LoadedTask) -> int:
    """Estimate how many answers a task asks of a model: the choices of one document tell those of all."""
    leaves = list(task.leaves.values())
    choices = [len(leaf.doc_to_choice(leaf.eval_docs[0])) if leaf.config.doc_to_choice else 1 for leaf in leaves]
    return task.n * max(choices)


def _tracker(output: Path | None) -> Any:
    from lm_eval.loggers import EvaluationTracker

    return None if output is None else EvaluationTracker(output_path=str(output / HARNESS))


def _write(tracker: Any, found: dict[str, Any], output: Path | None, name: str) -> None:
    """Write results and samples, by the harness's own writer, which only logs when it fails."""
    assert output is not None  # noqa: S101 -- there is a tracker only with an output
    folder = output / HARNESS
    before = set(folder.glob("*/*"))
    rest = {key: value for key, value in found.items() if key != "samples"}
    described = tracker.general_config_tracker
    described.model_name_sanitized = file_name(described.model_name_sanitized)
    tracker.save_results_aggregated(results=rest, samples=found["samples"])
    if hasattr(tracker, "date_id"):
        for task, samples in found["samples"].items():
            tracker.save_results_samples(task_name=file_name(task), samples=[dict(sample) for sample in samples])
    if len(set(folder.glob("*/*")) - before) < 1 + len(found["samples"]):
        raise MergeError(f"the files of lm-evaluation-harness for {name} cannot be written", where=str(folder))


def _folder_name(name: str) -> str:
    """Return a name that makes a folder of its own: ``.`` and ``..`` would be other folders."""
    return name if name.strip("./") else str(Path(name).resolve())
