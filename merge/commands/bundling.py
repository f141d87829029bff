"""The commands of rules, ``merge t3``, ``merge dawin`` and ``merge moe``: they write a bundle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..checkpoints.address import on_this_machine
from ..errors import UsageError
from .bundle_flags import BUNDLE, BundleFlags, flags_of
from .flags import go_offline, signature
from .method import own_flag, split_values
from .show import say, say_json, say_report

if TYPE_CHECKING:
    from ..bundles.document import BundleDocument
    from ..bundles.rule import Rule
    from ..bundles.writing import Opened, Request

PANEL = "Merging at inference"
_PREFIX = "option_"


def rule_command(rule: Rule) -> Callable[..., None]:
    """Return the command function of a rule, with a signature that Typer reads."""

    def command(**values: Any) -> None:
        request, flags = _take(rule, values)
        perform_bundle(request, flags)

    metavar = " ".join(role.upper() for role in rule.roles) or "MODEL..."
    models = Annotated[list[str], typer.Argument(help="Checkpoint files or folders.", metavar=metavar)]
    own = {_PREFIX + option.name: own_flag(option) for option in rule.options.declarations.values()}
    parameters = {"models": (models, ...)} | own | BUNDLE
    command.__signature__ = signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()}
    return command


def _take(rule: Rule, values: dict[str, Any]) -> tuple[Request, BundleFlags]:
    from ..bundles.writing import Request
    from ..checkpoints.resolve import local_path

    if values["offline"]:
        go_offline()
    models: list[str] = values["models"]
    options = _options(rule, values, len(models))
    if values["out"] is None:
        raise UsageError("there is no output path", hint="give -o FOLDER")
    request = Request(
        rule,
        options,
        tuple(models),
        local_path(on_this_machine(values["out"], "a bundle", "write it here, then copy its folder")),
        values["architecture"],
        values["seed"] or 0,
        values["copy"],
        values["force"],
        not values["no_fsync"],
    )
    return request, flags_of(values)


def _options(rule: Rule, values: dict[str, Any], models: int) -> Any:
    declared = rule.options.declarations
    whole: dict[str, Any] = {}
    of_members: list[dict[str, Any]] = [{} for _ in range(models)]
    for name, option in declared.items():
        value = values[_PREFIX + name]
        if value is None:
            continue
        if not option.per_model:
            whole[name] = option.check(value, option.flag)
            continue
        for one, number in zip(of_members, split_values(option, value, models), strict=True):
            one[name] = number
    return rule.resolve(whole, of_members)


def perform_bundle(request: Request, flags: BundleFlags) -> None:
    """Check, write, evaluate.

    Raises:
        MergeError: When anything fails; then nothing is written.
    """
    from ..bundles.writing import open_members, write_bundle
    from ..progress import progress_bar

    if flags.report_benchmark:
        _check_evaluation(flags)
    with ExitStack() as stack:
        opened = open_members(request, stack)
        if flags.dry_run:
            _show_plan(opened, flags)
            return
        total = opened.nbytes * (2 if request.copy else 1)
        with progress_bar(total, len(opened.sources), "bundling", quiet=flags.quiet or flags.json_) as advance:
            document = write_bundle(opened, lambda nbytes: advance(nbytes, 0))
    evaluation = _evaluate(request, flags) if flags.report_benchmark else None
    if flags.json_:
        say_json({"out": str(request.out), **document} | ({"evaluation": evaluation} if evaluation else {}))
    else:
        say(_summary(opened, document), flags)


def _check_evaluation(flags: BundleFlags) -> None:
    from ..evaluation.device import choose_device
    from ..evaluation.specification import read_benchmarks
    from ..reports import check_directory

    read_benchmarks(flags.report_benchmark)
    choose_device(flags.device)
    if flags.report is not None:
        check_directory(flags.report)


def _evaluate(request: Request, flags: BundleFlags) -> Any:
    from ..evaluation import evaluate, render_table

    found = evaluate(
        [str(request.out)],
        list(flags.report_benchmark),
        report=flags.report,
        model=request.model,
        device=flags.device,
        batch_size=flags.batch_size or 256,
        quiet=flags.quiet or flags.json_,
    )
    say(render_table(found), flags)
    say_report(flags.report, flags)
    return found.as_json()


def _show_plan(opened: Opened, flags: BundleFlags) -> None:
    from ..bundles.bundle import options_document
    from ..checkpoints.space import human

    request = opened.request
    options = options_document(request.options)
    members = [
        {"role": request.rule.role(number), "model": source.location, "tensors": len(source.tensors)}
        for number, source in enumerate(opened.sources)
    ]
    if flags.json_:
        plan = {"out": str(request.out), "rule": request.rule.name, "options": options, "members": members}
        say_json(plan | {"copy": request.copy, "bytes": opened.nbytes})
        return
    lines = [f"{request.rule.name} ▸ {request.out}: {request.rule.summary}"]
    lines += [f"  {one['role']}: {one['model']}, {one['tensors']} tensors" for one in members]
    lines += [f"  {name}: {value}" for name, value in options.items()]
    kept = "copied" if request.copy else "kept where they are"
    say("\n".join([*lines, f"  models are {kept}, {human(opened.nbytes)}"]), flags)


def _summary(opened: Opened, document: BundleDocument) -> str:
    request = opened.request
    lines = [f"wrote {request.out}: {document['rule']} of {len(document['members'])} models"]
    lines += [f"  {member['role']}: {member['path']}" for member in document["members"]]
    lines += ["It is joined when it runs: merge eval takes it like a checkpoint."]
    lines += request.rule.remarks(opened.sources)
    return "\n".join(lines)
