"""The command line: python -m pipeline build RECIPE [--any.field VALUE]."""

import sys
from dataclasses import replace
from pathlib import Path

import tyro

from manifests.schema import Manifest
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.recipes import RECIPES, Recipe
from pipeline.sample_web.serve import ENDPOINT, serving_world
from pipeline.sample_web.world import make_world

USAGE = """Build a dataset of (image, text) pairs.

    python -m pipeline build demo
    python -m pipeline build laptop --queries terms.txt --table.paths urls.parquet --dataset runs/mine
    python -m pipeline build laptop --queries terms.txt --folder.paths photos --folder.templates 'a {}.'
"""


def main(arguments: list[str]) -> int:
    """Run a command; return 0 done, 1 the work failed, 2 the request was wrong."""
    if arguments[:1] != ["build"]:
        wanted = arguments[:1] in ([], ["-h"], ["--help"])
        sys.stderr.write(USAGE if wanted else f"unknown command {arguments[0]!r}; known: build\n")
        return 0 if arguments and wanted else 2
    recipes = {name: (recipe.__doc__ or "", recipe()) for name, recipe in RECIPES.items()}
    try:
        recipe = tyro.extras.overridable_config_cli(
            recipes, args=arguments[1:], prog="python -m pipeline build", description=USAGE
        )
        print_result(run(recipe), recipe.run)
    except ValueError as error:
        sys.stderr.write(f"pipeline build: {error}\n")
        return 2
    except (RuntimeError, OSError) as error:
        last = str(error).strip().rpartition("\n")[2]
        sys.stderr.write(f"build stopped: {last}\nWhat is done is kept; run the same command again.\n")
        return 1
    return 0


def run(recipe: Recipe) -> Manifest:
    """Build a recipe, with the sample web up while it runs where it is asked for."""
    config, options = recipe.config, recipe.run
    root = options.sample_web
    if root is None:
        return build(config, options)
    make_world(root, quiet=options.quiet)
    with serving_world(root) as served:
        options = replace(options, connect_to=(*options.connect_to, *served.connect_to))
        return build(with_sample_web(config, root), options)


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
    sys.exit(main(sys.argv[1:]))
