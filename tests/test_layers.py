"""Who may import whom, read from the syntax trees: house rules that nobody has to remember."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("filters", "manifests", "pipeline", "train", "tests")
MAY_IMPORT = {
    "filters": {"filters"},
    "manifests": {"manifests"},
    "pipeline": {"pipeline", "filters", "manifests"},
    "train": {"train", "manifests"},
    "tests": set(OURS),
}
# Heavy packages, and the only places that may load them.
ONLY_IN = {
    "apache_beam": ("pipeline/", "tests/"),
    "torch": ("train/", "tests/"),
    "faiss": ("train/search/approximate.py", "tests/"),
    "av": ("train/search/video.py", "tests/"),
    "onnxruntime": ("filters/onnx_models.py", "tests/"),
    "fasttext": ("filters/language.py", "filters/toxicity.py", "filters/training/"),
}
# Inside a package, from the leaves up: a file may import from its own layer or from an earlier one.
LAYERS = {
    "pipeline": (
        {
            "records",
            "limits",
            "tar",
            "blocks",
            "parts",
            "attempts",
            "staged",
            "progress",
            "clusters",
            "worker",
            "losses",
            "pool_health",
        },
        {"local_workers", "worker_pools", "runners", "pool_server"},
        {"pool", "common"},
        {
            "crawl_files",
            "fetch",
            "sources",
            "config",
            "sample_web",
            "balance",
            "dedup",
            "rejected",
            "verdicts",
            "references",
            "select",
            "match",
            "crawl",
            "score",
            "shards",
            "terms",
            "queries",
            "known",
            "rematch",
            "changed",
        },
        {"finish", "job", "reach"},
        {"begin"},
        {"rounds", "coverage", "plan", "doctor"},
        {"build", "extend", "addition"},
        {"retry", "build_more", "dry_run"},
        {"recipes"},
        {"__main__"},
    ),
    "train": (
        {
            "distributed",
            "ema",
            "gpus",
            "panel",
            "parts",
            "peak",
            "small_adam",
            "torchscript",
            "wandb_run",
            "weights",
        },
        {
            "config",
            "models",
            "bpe",
            "transforms",
            "checkpoint",
            "report_analyses",
            "report_data",
            "report_evals",
            "report_overlap",
            "report_results",
            "report_starts",
            "watch",
            "boards",
        },
        {"flops", "order", "plain_tars", "cache_folder"},
        {"meter", "shard_cache"},
        {"rows"},
        {"mix", "reading"},
        {
            "interchange",
            "optim",
            "tokenizer",
            "data",
            "metrics",
            "recipes",
            "report",
            "parallel",
            "checkpoint_writer",
            "run_manifest",
        },
        {"loss", "speed", "copying"},
        {"plan_memory"},
        {"plan"},
        {"plan_command"},
        {"state", "trained", "backward"},
        {"evals"},
        {"evaluating", "suite"},
        {"oversight"},
        {"loop", "scorer"},
        {"score", "search", "draw"},
        {"launch"},
        {"__main__"},
    ),
}
# What a source tree must not hold.
UNFINISHED = ("TO" + "DO", "Not" + "Implemented", "FIX" + "ME")


def files() -> list[Path]:
    return [path for package in OURS for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield f"{node.module}"


def layer_of(package: str, module: str) -> int | None:
    return next((depth for depth, names in enumerate(LAYERS[package]) if module in names), None)


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    package = name.partition("/")[0]
    tops = {module.partition(".")[0] for module in imports(path)}
    assert tops & set(OURS) <= MAY_IMPORT[package]
    for heavy, places in ONLY_IN.items():
        assert heavy not in tops or name.startswith(places), f"{name} imports {heavy}"


@pytest.mark.parametrize("package", LAYERS)
def test_a_module_imports_no_later_layer_of_its_package(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        if parts[0] == "__init__":
            continue
        own = layer_of(package, parts[0])
        assert own is not None, f"{path} has no layer: name it in LAYERS"
        for module in imports(path):
            if module.startswith(f"{package}."):
                other = layer_of(package, module.split(".")[1])
                assert other is not None and other <= own, f"{path} imports {module}"


def test_nothing_is_left_unfinished() -> None:
    found = [(path, word) for path in files() for word in UNFINISHED if word in path.read_text()]
    assert found == []


def test_tests_lie_flat() -> None:
    assert sorted((ROOT / "tests").rglob("test_*.py")) == sorted((ROOT / "tests").glob("test_*.py"))
