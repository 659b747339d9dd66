"""The command line: python -m pipeline build RECIPE [--any.field VALUE]."""

import sys
from contextlib import ExitStack
from dataclasses import replace

import tyro

from manifests.schema import Manifest
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.recipes import RECIPES, Recipe
from pipeline.sample_web import make_world, serving_world, sources_of

USAGE = """Build a dataset of (image, text) pairs.

    python -m pipeline build demo
    python -m pipeline build laptop --queries terms.txt --table.paths urls.parquet --dataset runs/mine
    python -m pipeline build laptop --queries terms.txt --folder.paths photos --folder.templates 'a photo of a {}.'
"""


def main(arguments: list[str]) -> int:
    """Run a command; return 0 done, 1 the work failed, 2 the request was wrong."""
    if arguments[:1] != ["build"]:
        wanted = arguments[:1] in ([], ["-h"], ["--help"])
        sys.stderr.write(USAGE if wanted else f"unknown command {arguments[0]!r}; known: build\n")
        return 0 if arguments and wanted else 2
    recipes = {name: (recipe.__doc__ or "", recipe()) for name, recipe in RECIPES.items()}
    try:
        recipe = tyro.extras.overridable_config_cli(recipes, args=arguments[1:], prog="python -m pipeline build", description=USAGE)
        print_result(run(recipe), recipe.run)
    except ValueError as error:
        sys.stderr.write(f"pipeline build: {error}\n")
        return 2
    return 0


def run(recipe: Recipe) -> Manifest:
    """Build a recipe, with the sample web up while it runs where it is asked for."""
    config, options = recipe.config, recipe.run
    with ExitStack() as stack:
        if options.sample_web is not None:
            make_world(options.sample_web)
            config = with_sample_web(config, options)
            web = stack.enter_context(serving_world(options.sample_web))
            options = replace(options, connect_to=(*options.connect_to, *web.connect_to))
        return build(config, options)


def with_sample_web(config: BuildConfig, options: RunOptions) -> BuildConfig:
    """Return the configuration with the sample web's search terms and sources where it names none."""
    assert options.sample_web is not None
    queries = config.queries or str(options.sample_web / "queries.txt")
    commons, table = sources_of(options.sample_web)
    sources = replace(config.sources, commons=replace(config.sources.commons, endpoint=commons), table=replace(config.sources.table, paths=(table,), caption_column="alt"))
    return replace(config, queries=queries, sources=sources)


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
    sys.exit(main(sys.argv[1:]))
