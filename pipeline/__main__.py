"""The command line: python -m pipeline build|plan RECIPE [--any.field VALUE], python -m pipeline queries."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro

from manifests.command_line import parse
from manifests.places import Place
from manifests.protocols import store_errors
from manifests.schema import Manifest
from manifests.storage import location
from manifests.store import read_manifest, write_table
from pipeline import losses
from pipeline.build import build
from pipeline.build_more import ExtendRequest, defaults_of, extend
from pipeline.config import BuildConfig, RunOptions
from pipeline.doctor import DoctorRequest, examine
from pipeline.dry_run import dry_run
from pipeline.limits import Fetch
from pipeline.plan.needs import Rates, needs_of
from pipeline.plan.predict import Assumed, make_plan
from pipeline.plan.prices import Prices, costs_of
from pipeline.plan.sample import Sample
from pipeline.plan.table import cost_lines, needs_lines, plan_lines
from pipeline.pool_server import PoolRequest, serve
from pipeline.queries.build import build_list
from pipeline.queries.config import QueryListRequest
from pipeline.queries.publish import summary_lines
from pipeline.recipes import RECIPES, Recipe
from pipeline.references import read_reference
from pipeline.retry import RetryRequest, limits_of, retry
from pipeline.sample_web.serve import ENDPOINT, serving_world
from pipeline.sample_web.world import make_world

USAGE = """Build a dataset of (image, text) pairs.

    python -m pipeline build demo
    python -m pipeline build laptop --queries terms.txt --table.paths urls.parquet --dataset runs/mine
    python -m pipeline build laptop --queries terms.txt --folder.paths photos --folder.templates 'a {}.'

Add to a finished one: python -m pipeline build --extend runs/mine --help
Predict what that takes: python -m pipeline plan --help
See whether this machine is fit: python -m pipeline doctor
Try again what could not be fetched: python -m pipeline retry --help
Make a list of search terms: python -m pipeline queries --help
List the pictures of an evaluation set, to keep them out: python -m pipeline hashes --help
Lend this machine's processors to a build elsewhere: python -m pipeline pool --help
"""
EXTEND_USAGE = """Add new terms or a new crawl to a finished dataset, into new shards; the old ones stay.

    python -m pipeline build --extend runs/mine --queries more-terms.txt
    python -m pipeline build --extend runs/mine --table.paths new-urls.parquet

New terms are looked for where the dataset's were, or where you say; terms that it has are passed over.
Without --queries, say where to look. No URL that was asked for is asked for again. Settings are the dataset's
own but for those that are given. An addition that was cut short goes on with the same command.
"""
QUERIES_USAGE = """Make a list of search terms from Wikipedia's words, bigrams and titles and WordNet's names.

    python -m pipeline queries --dumps enwiki-latest-pages-articles*.bz2 --pageviews pageviews-*.gz \\
        --wordnet /usr/share/wordnet --out runs/terms
    python -m pipeline build laptop --queries runs/terms/queries.parquet --dataset runs/mine ...
"""
PLAN_USAGE = """Predict what a build will find, fetch, take and need, from a sample, before anything is spent.

    python -m pipeline plan laptop --queries terms.txt --common-crawl.paths wat.paths.gz --sample.files 2
    python -m pipeline plan demo --json
    python -m pipeline plan webimagetext-400m --num-pairs 400000000 --workers 64

Takes a recipe and all flags of build. Reads some files of each bulk source and asks each search service some
terms; downloads no picture. With --num-pairs it looks at nothing, and says what so many pairs take.
"""


DOCTOR_USAGE = """Say whether this machine is fit for a build, and what to do where it is not.

    python -m pipeline doctor
    python -m pipeline doctor --dataset runs/mine --workers 4 --host upload.wikimedia.org --json

    python -m pipeline doctor --dataset s3://bucket/mine --work /scratch/mine

One line each: names, open files, proxy, disk or store, processors, memory, loops; with --host also clock and
throughput.
Exit status 1 where a build would fail.
"""
HASHES_USAGE = """Write down the hashes (and captions) of pictures that no dataset must hold again.

    python -m pipeline hashes cifar10/test --out cifar10.parquet
    python -m pipeline build laptop ... --dedup.evaluation-sets cifar10=cifar10.parquet

Reads a folder of pictures or of tars, a tar, or a dataset. The list holds no pixels, and may be shared.
"""
POOL_USAGE = """Serve worker processes to builds, of this machine or of others that see the same disk.

    python -m pipeline pool --port 50001
    python -m pipeline build demo --workers 2 --direct.pools 127.0.0.1:50001

Whoever reaches the port can run any code here. It listens to this machine alone until --bind says otherwise.
"""
RETRY_USAGE = """Fetch failures of a finished dataset again, into new shards; the others stay as they are.

    python -m pipeline retry --dataset runs/mine --where reason=timeout,host_down
    python -m pipeline retry --dataset runs/mine --where reason=timeout host=example.com --fetch.timeout-s 60

What can be chosen is what `python -m manifests show` lists under fetch and image. Limits are the dataset's
own but for those that are given. A retry that was cut short goes on with the same command.
"""


def program() -> int:
    """Run what this process was started for, again after each loss of a worker."""
    losses.begin_again(sys.argv[1] if len(sys.argv) > 1 else "")
    return main(sys.argv[1:])


def main(arguments: list[str]) -> int:
    """Run a command; return 0 done, 1 the work failed, 2 the request was wrong."""
    name, *rest = arguments or [""]
    command = COMMANDS.get(name)
    if command is None:
        wanted = name in ("", "-h", "--help")
        known = ", ".join(COMMANDS)
        sys.stderr.write(USAGE if wanted else f"unknown command {name!r}; known: {known}\n")
        return 0 if name and wanted else 2
    try:
        return command(rest) or 0
    except ValueError as error:
        sys.stderr.write(f"pipeline {name}: {error}\n")
        return 2
    except store_errors(RuntimeError) as error:
        last = str(error).strip().rpartition("\n")[2]
        sys.stderr.write(f"{name} stopped: {last}\nWhat is done is kept; run the same command again.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{name} stopped: interrupted. What is done is kept; run the same command again.\n")
        return 1


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build, and whether to."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    dry_run: bool = False
    """Say what the chosen runner would be told, and check that every phase could travel to its workers. Runs
    nothing, reaches nothing."""


def build_command(arguments: list[str]) -> None:
    """Build a dataset by a recipe, or add to one."""
    if values_of("--extend", arguments):
        extend_command(arguments)
        return
    name, *rest = arguments or [""]
    if name in ("", "-h", "--help"):
        if name:
            print(USAGE, *(f"{known}: {recipe.__doc__}\n" for known, recipe in RECIPES.items()), sep="\n")
            return
        raise ValueError(f"no recipe, known: {', '.join(RECIPES)}. Next: python -m pipeline build --help")
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}, known: {', '.join(RECIPES)}")
    prog = f"python -m pipeline build {name}"
    about = f"{RECIPES[name].__doc__}\n\n{USAGE}"
    default = BuildRequest(recipe=RECIPES[name]())
    request = parse(BuildRequest, default=default, arguments=rest, prog=prog, description=about)
    if request.dry_run:
        for line in dry_run(request.recipe.config, request.recipe.run):
            print(line)
        return
    keep(request.recipe.run)
    print_result(run(request.recipe), request.recipe.run)


def extend_command(arguments: list[str]) -> None:
    """Add new terms or a new crawl to a finished dataset."""
    if not arguments[0].startswith("--"):
        raise ValueError(f"{arguments[0]!r} before --extend: the dataset says how it is built, leave it out")
    # The dataset is read first: its settings are the defaults that --help shows.
    place = location(values_of("--extend", arguments)[-1])
    config = defaults_of(place, new_terms=bool(values_of("--queries", arguments)))
    request = parse(
        ExtendRequest,
        default=ExtendRequest(extend=place, config=config),
        arguments=arguments,
        prog="python -m pipeline build",
        description=EXTEND_USAGE,
    )
    keep(request.run)
    with ExitStack() as stack:
        options = request.run
        if request.sample_web:
            served = stack.enter_context(serving_world(request.sample_web))
            options = replace(options, connect_to=(*options.connect_to, *served.connect_to))
        print_change(extend(request.config, options), "found")


def keep(options: RunOptions) -> None:
    """Say where a build leaves what is whole, for a loss on its way."""
    losses.keep_in(options.work_folder, options.grows_at / "index")


def values_of(flag: str, arguments: list[str]) -> list[str]:
    """Return what a flag is given, as --flag VALUE or --flag=VALUE."""
    apart = [value for name, value in pairwise(arguments) if name == flag]
    return apart + [word.partition("=")[2] for word in arguments if word.startswith(f"{flag}=")]


def print_change(manifest: Manifest, tried: str) -> None:
    """Print what the last change of a dataset tried, gained and dropped, and what the dataset holds."""
    change = manifest.history[-1]
    print(f"\n{tried:<10}{change.num_tried:>9,}\ngained    {change.num_gained:>9,} pairs")
    for reason, count in sorted(change.dropped.items(), key=lambda item: -item[1]):
        print(f"dropped   {count:>9,} {reason}")
    print(f"holds     {manifest.num_pairs:>9,} pairs in {len(manifest.shards)} shards")


def queries_command(arguments: list[str]) -> None:
    """Make a list of search terms."""
    request = parse(
        QueryListRequest, arguments=arguments, prog="python -m pipeline queries", description=QUERIES_USAGE
    )
    losses.keep_in(request.run.out)
    result = build_list(request.config, request.run)
    print("\n".join(summary_lines(result, request.run.out)))


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What to plan, how much to look at, and what to take for granted."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    sample: Sample = field(default_factory=Sample)
    num_pairs: int | None = None
    """Pairs to plan for. None: those that the sample promises."""
    assumed: Assumed = field(default_factory=Assumed)
    rates: Rates = field(default_factory=Rates)
    prices: Prices = field(default_factory=Prices)
    json: bool = False
    """Print JSON instead of a table."""


def plan_command(arguments: list[str]) -> None:
    """Predict what a build will find, fetch, take and need."""
    name, *rest = arguments or [""]
    if name in ("-h", "--help"):
        print(PLAN_USAGE)
        return
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}, known: {', '.join(RECIPES)}")
    request = parse(
        PlanRequest,
        default=PlanRequest(recipe=RECIPES[name]()),
        arguments=rest,
        prog=f"python -m pipeline plan {name}",
        description=PLAN_USAGE,
    )
    found, lines = needs_found(request) if request.num_pairs is not None else plan_found(request)
    print(json.dumps(found, indent=1) if request.json else "\n".join(lines))


def plan_found(request: PlanRequest) -> tuple[dict[str, Any], list[str]]:
    """Return what a sample promises, as JSON and as lines."""
    with sample_web_of(request.recipe) as (config, options):
        plan = make_plan(config, options, request.sample, request.assumed)
    costs = costs_of(
        request.prices,
        workers=options.workers,
        hours=plan.total_hours,
        download_bytes=plan.download_bytes,
        disk_bytes=plan.disk_bytes,
        stored_bytes=plan.disk_bytes // 2,
    )
    return asdict(plan) | {"costs": costs}, [*plan_lines(plan), *cost_lines(costs, request.prices)]


def needs_found(request: PlanRequest) -> tuple[dict[str, Any], list[str]]:
    """Return what so many pairs take, as JSON and as lines."""
    assert request.num_pairs is not None
    recipe = request.recipe
    needs = needs_of(request.num_pairs, recipe.config, recipe.run, request.assumed, request.rates)
    costs = costs_of(
        request.prices,
        workers=needs.workers,
        hours=needs.hours,
        download_bytes=needs.crawl_bytes + needs.download_bytes,
        disk_bytes=needs.disk_bytes,
        stored_bytes=needs.stored_bytes,
    )
    found = asdict(needs) | {"hours": needs.hours, "costs": costs}
    return found, [*needs_lines(needs), *cost_lines(costs, request.prices)]


def retry_command(arguments: list[str]) -> None:
    """Fetch failures of a finished dataset again."""
    # The dataset is read first: its limits are the defaults that --help shows.
    given = values_of("--dataset", arguments)
    limits = limits_of(location(given[-1])) if given else Fetch()
    request = parse(
        RetryRequest,
        default=RetryRequest(dataset=tyro.MISSING, where=tyro.MISSING, fetch=limits),
        arguments=arguments,
        prog="python -m pipeline retry",
        description=RETRY_USAGE,
    )
    before = read_manifest(request.dataset)
    keep(request.options)
    manifest = retry(request)
    if len(manifest.history) == len(before.history):
        print(f"nothing to try again: no failure in {request.dataset} meets {' '.join(request.where)}")
        return
    print_change(manifest, "tried")


def doctor_command(arguments: list[str]) -> int:
    """Say whether this machine is fit for a build; return 1 where something would make it fail."""
    request = parse(
        DoctorRequest, arguments=arguments, prog="python -m pipeline doctor", description=DOCTOR_USAGE
    )
    findings = []
    for finding in examine(request):
        findings.append(finding)
        if not request.json:
            print(finding)
    if request.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    return int(any(finding.level == "fail" for finding in findings))


@dataclass(frozen=True, kw_only=True)
class HashesRequest:
    """What to hash, and where to write the list."""

    path: tyro.conf.Positional[Place]
    """A folder, a tar or a dataset."""
    out: Place
    """The list: a parquet file."""
    workers: int = 1
    """Processes."""


def hashes_command(arguments: list[str]) -> None:
    """Write a list of hashes."""
    request = parse(
        HashesRequest, arguments=arguments, prog="python -m pipeline hashes", description=HASHES_USAGE
    )
    if not request.path.exists():
        raise ValueError(f"{request.path} is not there: give a folder of pictures, a tar or a dataset")
    table = read_reference(request.path, request.workers)
    write_table(request.out, table)
    captions = len(table) - table["caption"].null_count
    print(f"{request.out}: {len(table):,} pictures, {captions:,} of them with a caption")


def pool_command(arguments: list[str]) -> None:
    """Serve worker processes."""
    serve(parse(PoolRequest, arguments=arguments, prog="python -m pipeline pool", description=POOL_USAGE))


COMMANDS: dict[str, Callable[[list[str]], int | None]] = {
    "build": build_command,
    "queries": queries_command,
    "plan": plan_command,
    "hashes": hashes_command,
    "retry": retry_command,
    "doctor": doctor_command,
    "pool": pool_command,
}


def run(recipe: Recipe) -> Manifest:
    """Build a recipe."""
    with sample_web_of(recipe) as (config, options):
        return build(config, options)


@contextmanager
def sample_web_of(recipe: Recipe) -> Iterator[tuple[BuildConfig, RunOptions]]:
    """Give a recipe's configuration, with the sample web up while it is used where it is asked for."""
    config, options = recipe.config, recipe.run
    root = options.sample_web
    if root is None:
        yield config, options
        return
    make_world(root, quiet=options.quiet)
    with serving_world(root) as served:
        options = replace(options, connect_to=(*options.connect_to, *served.connect_to))
        yield with_sample_web(config, root), options


def with_sample_web(config: BuildConfig, root: Path) -> BuildConfig:
    """Return the configuration with the sample web's search terms, search engine and table of URLs."""
    sources = replace(
        config.sources,
        commons=replace(config.sources.commons, endpoint=ENDPOINT),
        table=replace(config.sources.table, paths=(str(root / "urls.parquet"),), caption_column="alt"),
    )
    return replace(config, queries=str(root / "queries.txt"), sources=sources)


def print_result(manifest: Manifest, options: RunOptions) -> None:
    """Print what was found, why it was dropped, what is kept and where to look."""
    first, last = manifest.funnel[0], manifest.funnel[-1]
    print(f"\nfound     {first.num_in:>9,} candidates for {manifest.num_queries:,} search terms")
    for stage in manifest.funnel:
        for reason, count in sorted(stage.dropped.items(), key=lambda item: -item[1]):
            print(f"dropped   {count:>9,} {stage.stage}: {reason}")
    print(f"kept      {last.num_out:>9,} pairs in {len(manifest.shards)} shards")
    print(f"dataset   {options.dataset}\nreport    {options.dataset / 'report.html'}")


if __name__ == "__main__":
    sys.exit(program())
