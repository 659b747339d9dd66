"""The command line of the trainer: python -m train fit | plan | eval | score | search | draw | export |
import | submit | jobs | preflight.
Exit status 0 done, 1 failed, 2 wrong request.
"""

import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Generic, TypeVar, cast

import tyro

from manifests.command_line import parse
from manifests.places import Place
from manifests.protocols import store_errors
from manifests.store import write_bytes
from train.checkpoint import Weights
from train.config import TrainConfig
from train.distributed import is_first, processes
from train.draw.command import run_draw
from train.evals import EVALS, Evaluation
from train.interchange.command import EXPORT_USAGE, IMPORT_USAGE, Export, Import, describe
from train.launch import LAUNCHERS
from train.launch.jobs import JOBS_USAGE, Jobs
from train.launch.preflight import Preflight
from train.launch.rehearsal import rehearsed
from train.loop import fit
from train.oversight import TrainingError
from train.plan_command import PLAN_USAGE, PlanRequest
from train.recipes import RECIPES
from train.report import write_run_report
from train.score import Score, score_dataset
from train.search.command import run_search
from train.suite import Suite, run_suite
from train.trained import load_trained
from train.watch import StoppedError

# EX_TEMPFAIL of sysexits.h: asked to stop, try again; what a scheduler may put into its queue once more.
STOPPED = 75

Asked = TypeVar("Asked", bound=Evaluation)

USAGE = f"""\
usage: python -m train fit <recipe> --data DIR --run DIR [flags]     recipes: {", ".join(RECIPES)}
       python -m train plan <recipe> --gpu GPU --num-gpus N [flags]  memory, speed and hours, before it is run
       python -m train eval [<eval>] --run DIR [flags]               evals: {", ".join(EVALS)}, all
       python -m train score --run DIR --data DIR --out DIR [flags]  a dataset's pairs, by a trained model
       python -m train search index | query | serve [flags]          pictures by words, by a picture or both
       python -m train draw --run DIR --prompt WORDS --out FILE.svg  strokes that a model finds words in
       python -m train export DIR --format F --out DIR               for openai, open_clip or huggingface
       python -m train import FILE --run DIR                         others' models, as a run
       python -m train submit [<launcher>] [flags] -- <recipe> --data DIR --run DIR [flags]
                                                                     launchers: {", ".join(LAUNCHERS)}
       python -m train jobs <what> --run DIR                         list | status | logs | cancel
       python -m train preflight --data DIR --run DIR [flags]        look at every node before a run
Each prints its flags with --help, for example: python -m train fit demo --help

A first run:
  python -m train fit demo --data runs/demo/dataset --run runs/demo/run
  python -m train eval zero_shot --run runs/demo/run --data runs/demo/heldout/objects \\
      --name objects --templates counts
"""

SCORE_USAGE = """\
Score the pairs of a dataset by a trained model, into a new dataset; drop those that break a limit.

  python -m train score --run runs/demo/run --data runs/demo/dataset --out runs/demo/scored \\
      --prompts photo=photos.txt drawing=drawings.txt --min-score clip=0.2 --max-score drawing_share=0.9

clip is the cosine of a picture and its own caption; a list of prompts gives the highest cosine with any of
them; several lists also NAME_share, the softmax over all prompts, added up over those of the list. All scores
stand in the index (`scores`).
"""


@dataclass(frozen=True, kw_only=True)
class Eval(Generic[Asked]):
    """What `eval` needs beside the evaluation's own fields."""

    weights: Weights | None = None
    """model, or averaged where the run keeps averages (fit --ema-decay); None: averaged where it does."""
    evaluation: Annotated[Asked, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What `fit` needs beside the recipe's own fields."""

    data: tuple[Place, ...]  # finished datasets, of `python -m pipeline build`, or folders of plain tars
    run: Path  # where the run lives; one that was begun there is taken up where it was
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    commands = {
        "fit": run_fit,
        "plan": run_plan,
        "eval": run_eval,
        "score": run_score,
        "search": run_search,
        "draw": run_draw,
        "submit": run_submit,
        "jobs": run_jobs,
        "preflight": run_preflight,
        "export": run_export,
        "import": run_import,
    }
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("--help", "-h"):
        print(USAGE)
        return 0
    try:
        if name not in commands:
            raise ValueError(
                f"unknown command {name!r}, known: {', '.join(commands)}. Next: python -m train --help"
            )
        return commands[name](rest)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except StoppedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return STOPPED
    except store_errors(TrainingError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "stopped; the newest checkpoint is kept. Next: the same command goes on from it", file=sys.stderr
        )
        return 1


def run_fit(arguments: Sequence[str]) -> int:
    """Train by a recipe and its flags."""
    request = parse_fit(arguments)
    fit(request.config, request.data, request.run)
    if is_first():
        print(f"trained: {request.run}; report: {write_run_report(request.run)}")
    return 0


def parse_fit(arguments: Sequence[str]) -> Fit:
    """Return what the arguments of `fit` ask for. Raises ValueError for an unknown recipe."""
    recipe, flags = _pick(arguments, RECIPES, "recipe")
    return parse(
        Fit,
        prog=f"python -m train fit {recipe}",
        description=f"{RECIPES[recipe].__doc__}\n\nExample: python -m train fit {recipe} --data D --run R",
        arguments=flags,
        default=Fit(data=tyro.MISSING, run=tyro.MISSING, config=RECIPES[recipe]()),
        config=(tyro.conf.AvoidSubcommands,),
    )


def run_plan(arguments: Sequence[str]) -> int:
    """Print what a recipe and its flags would take on GPUs of a kind."""
    recipe, flags = _pick(arguments, RECIPES, "recipe")
    request = parse(
        PlanRequest,
        prog=f"python -m train plan {recipe}",
        description=PLAN_USAGE,
        arguments=flags,
        default=PlanRequest(gpu=tyro.MISSING, config=RECIPES[recipe]()),
        config=(tyro.conf.AvoidSubcommands,),
    )
    print(request.text())
    return 0


def run_eval(arguments: Sequence[str]) -> int:
    """Evaluate the newest checkpoint of a run and write RUN/evals/<eval>-<name>.json."""
    kind, flags = _pick(arguments, [*EVALS, "all"], "eval", default="zero_shot")
    if kind != "all":
        run, summary = evaluate(kind, flags)
        if is_first():
            print(f"{summary}; report: {write_run_report(run)}")
        return 0
    suite = parse(Suite, prog="python -m train eval all", description=getdoc(Suite), arguments=flags)
    failures = run_suite(suite, lambda kind, flags: evaluate(kind, flags)[1])
    print(f"report: {write_run_report(suite.run, suite.against)}")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def evaluate(kind: str, flags: Sequence[str]) -> tuple[Path, str]:
    """Write the result of an evaluation, which all processes take part in, and return its run and its
    summary."""
    request = parse(
        cast(type[Eval[Evaluation]], GenericAlias(Eval, (EVALS[kind],))),
        prog=f"python -m train eval {kind}",
        description=getdoc(EVALS[kind]),
        arguments=flags,
    )
    evaluation = request.evaluation
    trained = load_trained(evaluation.run, request.weights)
    with processes(trained.device):
        measured = evaluation.evaluate(trained)
    summary = evaluation.summary(measured)
    known = {"eval": kind, "name": evaluation.name, "step": trained.step, "summary": summary}
    known |= {"weights": request.weights} if request.weights else {}
    result = known | measured
    path = evaluation.run / "evals" / f"{kind}-{evaluation.name}.json"
    if is_first():
        write_bytes(path, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
    return evaluation.run, summary


def run_score(arguments: Sequence[str]) -> int:
    """Score a dataset by the newest checkpoint of a run, into a new dataset."""
    request = parse(Score, prog="python -m train score", description=SCORE_USAGE, arguments=arguments)
    manifest = score_dataset(request)
    kept = f"{manifest.num_pairs:,} of {manifest.history[-1].num_tried:,} pairs kept"
    print(f"{kept}; dataset: {request.out}; report: {request.out / 'report.html'}")
    return 0


def run_submit(arguments: Sequence[str]) -> int:
    """Start `fit` where a launcher says, with what follows `--`."""
    kind, rest = _pick(arguments, LAUNCHERS, "launcher", default="local")
    split = rest.index("--") if "--" in rest else len(rest)
    launcher = parse(LAUNCHERS[kind], prog=f"python -m train submit {kind}", arguments=rest[:split])
    if not rest[split + 1 :]:
        raise ValueError(
            f"nothing to submit. Next: python -m train submit {kind} -- demo --data DIR --run DIR"
        )
    fit_arguments = rest[split + 1 :]
    request = parse_fit(fit_arguments)
    if kind != "local" and not launcher.dry_run:
        print(rehearsed(request.config, request.data))
    return launcher.submit(fit_arguments)


def run_jobs(arguments: Sequence[str]) -> int:
    """Say what became of the jobs of a run."""
    request = parse(Jobs, prog="python -m train jobs", description=JOBS_USAGE, arguments=arguments)
    for line in request.lines():
        print(line, flush=True)
    return 0


def run_preflight(arguments: Sequence[str]) -> int:
    """Look at this node, and at the others together with it."""
    request = parse(Preflight, prog="python -m train preflight", arguments=arguments)
    lines = request.run_checks()
    if is_first():
        print("\n".join(lines))
    return 0


def run_export(arguments: Sequence[str]) -> int:
    """Write a model as other people's programs read it."""
    request = parse(Export, prog="python -m train export", description=EXPORT_USAGE, arguments=arguments)
    model = request.export()
    print(f"{describe(model)}; {request.format}: {request.out}")
    return 0


def run_import(arguments: Sequence[str]) -> int:
    """Make a run of other people's model."""
    request = parse(Import, prog="python -m train import", description=IMPORT_USAGE, arguments=arguments)
    model = request.import_()
    print(f"{describe(model)}; run: {request.run}")
    return 0


def _pick(
    arguments: Sequence[str], table: Collection[str], noun: str, default: str | None = None
) -> tuple[str, list[str]]:
    """Return the name that the arguments begin with, or the default, and the arguments after it."""
    named = bool(arguments) and not arguments[0].startswith("-")
    name = arguments[0] if named else default
    if name is None or name not in table:
        given = "no" if name is None else f"unknown {name!r} as"
        raise ValueError(f"{given} {noun}, known: {', '.join(table)}. Next: python -m train --help")
    return name, list(arguments[1:] if named else arguments)


if __name__ == "__main__":
    sys.exit(main())
