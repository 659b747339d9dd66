"""A changed configuration: which phases run again, that no others do, and that a fresh build is the same."""

import dataclasses
import doctest
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipeline.changed
from filters.checks import ImageChecks
from filters.urls import UrlRules
from manifests.storage import link_or_copy
from manifests.store import open_dataset
from manifests.verify import verify
from pipeline.__main__ import main
from pipeline.build import build
from pipeline.changed import FIRST_PHASE, PHASES, Difference, Rerun, first_phase, flat
from pipeline.config import BuildConfig, Cap, Dedup, RunOptions
from pipeline.job import config_as_json
from pipeline.limits import Encode
from pipeline.recipes import demo
from pipeline.sample_web.server import Served
from tests.small_world import contents, options


def settings() -> list[str]:
    """Every setting of a build, found in its dataclasses; what is no dataclass is one setting."""

    def below(value: Any, prefix: str) -> list[str]:
        if not dataclasses.is_dataclass(value):
            return [prefix]
        names = [field.name for field in dataclasses.fields(value)]
        return [found for name in names for found in below(getattr(value, name), f"{prefix}.{name}")]

    return [name.removeprefix(".") for name in below(BuildConfig(), "")]


def test_every_setting_has_a_first_phase_and_every_entry_of_the_table_a_setting() -> None:
    known = settings()
    assert len(known) > 90
    assert set(known) == set(flat(config_as_json(BuildConfig())))
    assert {first_phase(name) for name in known} <= {*PHASES, None}
    besides = {"queries_sha256", "dataset"}
    assert all(any(f"{name}.".startswith(f"{key}.") for name in known) for key in {*FIRST_PHASE} - besides)


def test_a_setting_that_nobody_has_placed_is_refused() -> None:
    with pytest.raises(KeyError):
        first_phase("new_group.new_setting")


@pytest.fixture(scope="module")
def config(small_config: BuildConfig) -> BuildConfig:
    """A build of one round."""
    fetch = replace(small_config.fetch, pairs_per_unit=20)
    return replace(small_config, fetch=fetch, pairs_per_shard=20)


@pytest.fixture(scope="module")
def old(config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("old") / "dataset"
    build(config, options(root, served))
    return root


@pytest.fixture(scope="module")
def in_rounds(config: BuildConfig) -> BuildConfig:
    """A build of two rounds that both fetch."""
    return replace(config, cap=Cap(max_pairs_per_query=4, survival=1.0), rounds=2)


@pytest.fixture(scope="module")
def old_in_rounds(in_rounds: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("in_rounds") / "dataset"
    build(in_rounds, options(root, served))
    return root


CHANGES: dict[str, dict[str, Any]] = {
    "pairs_per_shard": {"pairs_per_shard": 7},
    "dedup": {"dedup": Dedup(max_distance=None)},
    "encode": {"encode": Encode(side_px=48)},
    "image": {"image": replace(ImageChecks(), header=replace(ImageChecks().header, max_aspect=1.2))},
    "pairs_per_unit": {"fetch": replace(demo().config.fetch, pairs_per_unit=7)},
    "cap": {"cap": Cap(max_pairs_per_query=2, survival=0.7)},
    "fewer rounds": {"rounds": 1},
    "more rounds": {"rounds": 3},
    "max_urls_per_caption": {"max_urls_per_caption": 1},
    "url": {"url": UrlRules(blocked_domains=("upload.sample.test",))},
    "match_mode": {"match_mode": "exact"},
}
ASKING_NOTHING = ("pairs_per_shard", "fewer rounds")


def rebuilt(
    config: BuildConfig, old: Path, served: Served, root: Path, changes: dict[str, Any]
) -> Counter[str]:
    """Build with changed settings from old work, and anew, to the same bytes; return what the first asked."""
    changed, before = replace(config, **changes), contents(old)
    again, fresh = root / "again" / "dataset", root / "fresh" / "dataset"
    asked = Counter(served.web.num_requests)
    build(changed, replace(options(again, served), reuse=old))
    asked = Counter(served.web.num_requests) - asked
    build(changed, options(fresh, served))
    assert open_dataset(again).manifest.content_hash == open_dataset(fresh).manifest.content_hash
    assert contents(again) == contents(fresh)
    assert contents(old) == before
    return asked


def test_what_is_rebuilt_from_another_builds_work_is_what_a_fresh_build_makes(
    config: BuildConfig, old: Path, served: Served, tmp_path: Path
) -> None:
    changes = {"dedup": Dedup(max_distance=None), "pairs_per_shard": 7}
    assert not rebuilt(config, old, served, tmp_path, changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_in_rounds_what_is_rebuilt_is_what_a_fresh_build_makes(
    in_rounds: BuildConfig, old_in_rounds: Path, served: Served, tmp_path: Path, name: str
) -> None:
    asked = rebuilt(in_rounds, old_in_rounds, served, tmp_path, CHANGES[name])
    assert bool(asked) == (name not in ASKING_NOTHING)


def cut(*_: object) -> None:
    raise KeyboardInterrupt


def linked_up_to(number: int) -> Callable[[Path, Path], None]:
    """What links files, and is cut after so many."""
    left = iter(range(number))

    def link(path: Path, to: Path) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        link_or_copy(path, to)

    return link


def test_an_unfinished_build_is_changed_in_place_and_keeps_what_it_may(
    config: BuildConfig,
    old: Path,
    served: Served,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, other = tmp_path / "dataset", tmp_path / "other"
    shutil.copytree(old, root)
    (root / "manifest.json").unlink()
    changed, before = replace(config, pairs_per_shard=30), Counter(served.web.num_requests)
    run = options(root, served)
    with pytest.raises(
        ValueError, match=r"begun with pairs_per_shard = 20, now it is 30: shards must run again"
    ):
        build(changed, run)
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.begin.write_bytes", cut)  # all is undone, and nobody has written that down
        with pytest.raises(KeyboardInterrupt):
            build(changed, replace(run, config="changed"))
    build(changed, replace(run, config="changed"))
    said = capsys.readouterr().out
    assert "changed   pairs_per_shard 20 -> 30: decides from shards on" in said
    assert "cost      0 pairs are fetched again" in said
    assert Counter(served.web.num_requests) == before
    assert list(verify(root)) == []
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.changed.link_or_copy", linked_up_to(20))
        with pytest.raises(KeyboardInterrupt):
            build(changed, replace(options(other, served), reuse=old))
    build(changed, replace(options(other, served), reuse=old))
    assert open_dataset(other).manifest.content_hash == open_dataset(root).manifest.content_hash


def test_a_finished_dataset_stays_as_it_is(config: BuildConfig, old: Path, served: Served) -> None:
    before = contents(old)
    run = replace(options(old, served), config="changed")
    with pytest.raises(
        ValueError, match=r"run again \(\d\d+ pairs fetched again\).* it is finished .* --reuse"
    ):
        build(replace(config, encode=Encode(side_px=48)), run)
    assert contents(old) == before


def test_other_terms_in_the_same_file_are_noticed(
    config: BuildConfig, old: Path, served: Served, tmp_path: Path
) -> None:
    terms = Path(config.queries).read_text()
    (tmp_path / "same.txt").write_text(terms)
    (tmp_path / "other.txt").write_text(f"{terms}\nzeppelin\n")
    build(replace(config, queries=str(tmp_path / "same.txt")), options(old, served))
    with pytest.raises(ValueError, match="begun with queries_sha256 = "):
        build(replace(config, queries=str(tmp_path / "other.txt")), options(old, served))


def rerun(**changed: tuple[Any, Any]) -> Rerun:
    return Rerun(tuple(Difference(name.replace("__", "."), *values) for name, values in changed.items()))


def test_examples_of_the_module_hold() -> None:
    assert doctest.testmod(pipeline.changed).failed == 0


def test_of_several_rounds_a_change_in_the_first_undoes_the_others() -> None:
    copies = rerun(dedup__max_distance=(4, 3))
    kept = [
        "matched/00000.parquet",
        "selected/00-00000-00000.parquet",
        "fetched/00-00000-00000.tar",
        "fetched/_done",
    ]
    gone = [
        "selected-2/00-00000-00000-2.parquet",
        "fetched/00-00000-00000-2.tar",
        "fetched/_done-2",
        "copies/_done",
    ]
    assert [copies.keeps(name) for name in (*kept, *gone)] == [True] * 4 + [False] * 4
    fewer = rerun(rounds=(3, 2))
    assert [fewer.keeps(name) for name in ("kept-2/_done-2", "kept-3/_done-3", "supply/_done")] == [
        True,
        False,
        False,
    ]


def test_sources_that_have_not_changed_are_not_read_again() -> None:
    table = rerun(sources__table__paths=([], ["a.csv"]))
    names = ("candidates/commons-00000.parquet", "candidates/table-00000.parquet", "candidates/_done")
    assert [table.keeps(name) for name in names] == [True, False, False]
    both = rerun(sources__table__paths=([], ["a.csv"]), match_mode=("casefold", "exact"))
    assert not any(both.keeps(name) for name in names)


def test_references_are_read_again_when_others_are_given() -> None:
    name = "references/00000.parquet"
    assert rerun(pairs_per_shard=(2, 3)).keeps(name)
    assert not rerun(dedup__against=([], ["runs/old"])).keeps(name)


def test_what_cannot_be_reused_is_told(
    config: BuildConfig, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", "laptop", "--dataset", str(tmp_path / "d"), "--queries", config.queries]
    command += ["--folder.paths", str(tmp_path), "--reuse", str(tmp_path / "nothing")]
    (tmp_path / "a.jpg").write_bytes(b"")
    assert main(command) == 2
    assert "nothing holds no work folder of a build" in capsys.readouterr().err
    assert RunOptions(dataset=tmp_path).config == "same"
