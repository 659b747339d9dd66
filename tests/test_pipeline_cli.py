"""Commands as people run them: what they got wrong is one line, exit status 2, and never a traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import filters.__main__
import manifests.__main__
import pipeline.__main__
from tests.fakes import make_picture

Main = Callable[[list[str]], int]
ROOT = Path(__file__).parent.parent


def refused(main: Main, *arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must be refused; return the line that it says."""
    status = main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert (status, told.out, told.err.count("\n")) == (2, "", 1), told
    return told.err.rstrip("\n")


@pytest.fixture
def terms(tmp_path: Path) -> Path:
    (tmp_path / "terms.txt").write_text("cup\ndog\n")
    return tmp_path / "terms.txt"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / f"photos/{number}.jpg").write_bytes(make_picture(number))
        (tmp_path / f"photos/{number}.txt").write_text(f"a cup, seen from {number} sides")
    return tmp_path / "photos"


# Each: flags of `build laptop` after --dataset and --queries, and what must be said.
WRONG_FLAGS = {
    ("--fetch.timeout-s", "0"): "fetch.timeout-s must be > 0, not 0.0",
    (
        "--fetch.timeout-s",
        "soon",
    ): "--fetch.timeout-s FLOAT: could not convert string to float: 'soon'",
    ("--fetch.timeout-s",): "--fetch.timeout-s FLOAT: no value is given. Next: ",
    ("--fetch.max-tries", "0"): "fetch.max-tries must be >= 1, not 0",
    ("--encode.quality", "101"): "encode.quality must be 1 to 100, not 101",
    ("--encode.side-px", "0"): "encode.side-px must be >= 1, not 0",
    ("--encode.format", "gif"): "--encode.format takes jpeg, png, webp, not 'gif'. Next: ",
    (
        "--dedup.max-distance",
        "x",
    ): "--dedup.max-distance {None}|INT: invalid literal for int()",
    ("--quiet", "yes"): "'yes' belongs to no flag. Next: python -m pipeline build laptop --help",
    ("--decode.max-memory-mb", "1"): "decode.max-memory-mb must be >= 16, not 1",
    ("--decode.max-cpu-s", "0"): "decode.max-cpu-s must be > 0, not 0.0",
    ("--cap.survival", "0"): "cap.survival must be 0.01 to 1, not 0.0",
    ("--rounds", "0"): "rounds must be 1 to 100, not 0",
    ("--dedup.max-distance", "17"): "dedup.max-distance must be 0 to 16, or None, not 17",
    ("--pairs-per-shard", "0"): "pairs-per-shard must be 1 to 100,000, not 0",
    ("--workers", "0"): "workers must be >= 1, not 0",
    ("--connect-to", "example.com"): "connect-to must be HOST=ADDRESS:PORT, not 'example.com'",
    ("--folder.templates", "a photo"): "'a photo' must hold {} once, for the class name",
    ("--url.blocked-domains", "a b"): "blocked domain 'a b' is no host name: write it as example.com",
    ("--fetch.timeout", "3"): "unknown flag --fetch.timeout, perhaps --fetch.timeout-s. Next: python -m ",
    ("--timeout-s=3",): "unknown flag --timeout-s, perhaps --fetch.timeout-s. Next: ",
    ("--colour", "blue"): "unknown flag --colour. Next: ",
    (): "no source says where to look: give one of commons, openverse",
    ("--table.paths", "none.csv"): "table.paths: none.csv is no table or folder with one",
    ("--folder.paths", "none"): "folder.paths: none is not a folder",
}


@pytest.mark.parametrize("flags", WRONG_FLAGS)
def test_a_wrong_flag_of_build_is_told_with_its_value_and_rule(
    flags: tuple[str, ...], terms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "dataset"
    arguments: tuple[str | Path, ...] = ("build", "laptop", "--dataset", dataset, "--queries", terms, *flags)
    assert WRONG_FLAGS[flags] in refused(pipeline.__main__.main, *arguments, capsys=capsys)
    assert not list(dataset.rglob("config.json"))  # the right request may follow in the same place


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "terms.txt is not a file"),
        (b"", "terms.txt holds no search term: write one per line"),
        (b"\n \n", "terms.txt holds no search term: write one per line"),
        (b"\xff\xfec\0u\0p\0", "terms.txt is not UTF-8 text"),
    ],
)
def test_a_list_of_terms_that_cannot_be_used_is_named(
    content: bytes | None, said: str, tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terms = tmp_path / "terms.txt"
    if content is not None:
        terms.write_bytes(content)
    arguments = ("build", "laptop", "--dataset", tmp_path / "d", "--folder.paths", photos, "--queries", terms)
    assert said in refused(pipeline.__main__.main, *arguments, capsys=capsys)
    without = refused(pipeline.__main__.main, "build", "laptop", capsys=capsys)
    assert without == "pipeline build: no search terms: give --queries FILE, one term per line"


def test_a_dataset_path_that_is_a_file_is_refused(
    terms: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("build", "laptop", "--queries", terms, "--folder.paths", photos, "--dataset", terms)
    said = refused(pipeline.__main__.main, *arguments, capsys=capsys)
    assert (
        said == f"pipeline build: dataset: {terms} cannot be made (Not a directory): give another --dataset"
    )


def test_another_configuration_in_the_same_place_is_refused(
    tmp_path: Path, terms: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("build", "laptop", "--dataset", tmp_path / "dataset", "--queries", terms, "--quiet")
    assert pipeline.__main__.main([*map(str, common), "--folder.paths", str(photos)]) == 0
    assert "found             3 candidates for 2 search terms" in capsys.readouterr().out
    changed = ("--folder.paths", photos, "--pairs-per-shard", "7")
    said = refused(pipeline.__main__.main, *common, *changed, capsys=capsys)
    assert "was begun with pairs_per_shard = 10000, now it is 7: shards must run again" in said
    assert said.endswith(f"give another --dataset, and --reuse {tmp_path / 'dataset'}")


def test_unknown_commands_and_recipes_list_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        refused(pipeline.__main__.main, "bild", capsys=capsys)
        == "unknown command 'bild'; known: build, queries, plan, hashes, retry, doctor, pool"
    )
    said = refused(pipeline.__main__.main, "build", "dem", capsys=capsys)
    assert "dem" in said
    assert "demo, laptop, webimagetext-400m" in said


@pytest.mark.parametrize("command", ["show", "report"])
def test_what_is_no_dataset_is_told_with_the_next_step(
    command: str, tmp_path: Path, terms: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "none", tmp_path, terms):
        said = refused(manifests.__main__.main, command, path, capsys=capsys)
        assert said == (
            f"manifests: {path} holds no manifest.json: it is not a dataset, or its build has not ended. "
            f"Next: python -m pipeline build --dataset {path}"
        )


def test_to_verify_what_is_no_dataset_finds_it_not_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manifests.__main__.main(["verify", str(tmp_path)]) == 1
    assert "manifest.json" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"schema_version": 99, "checksum": ""}'])
def test_a_manifest_that_cannot_be_read_is_one_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert refused(manifests.__main__.main, "show", tmp_path, capsys=capsys).startswith("manifests: ")


def test_a_wrong_request_to_explain_is_one_line(terms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = filters.__main__.main
    assert "image none.jpg cannot be read" in refused(
        main, "explain", "--caption", "a cup", "--image", "none.jpg", capsys=capsys
    )


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (("pipeline", "--help"), "python -m pipeline build demo"),
        (("pipeline", "build", "--help"), "python -m pipeline build laptop --queries terms.txt"),
        (("pipeline", "build", "laptop", "--help"), "--fetch.timeout-s FLOAT"),
        (("manifests", "--help"), "python -m manifests verify runs/demo/dataset"),
        (("manifests", "verify", "--help"), "python -m manifests verify runs/demo/dataset"),
        (("filters", "explain", "--help"), "python -m filters explain --caption"),
    ],
)
def test_help_shows_how_and_ends_well(
    arguments: tuple[str, ...], example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mains: dict[str, Main] = {
        "pipeline": pipeline.__main__.main,
        "manifests": manifests.__main__.main,
        "filters": filters.__main__.main,
    }
    program, *rest = arguments
    try:
        status: object = mains[program](rest)
    except SystemExit as ended:
        status = ended.code
    told = capsys.readouterr()
    assert status == 0
    assert example in told.out + told.err


def test_the_module_run_as_a_program_gives_its_status_to_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "build", "laptop"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pipeline build: no search terms: give --queries FILE, one term per line\n"


def test_a_retry_of_what_is_no_dataset_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("retry", "--dataset", tmp_path, "--where", "reason=timeout")
    said = refused(pipeline.__main__.main, *arguments, capsys=capsys)
    assert said.startswith(f"pipeline retry: {tmp_path} holds no manifest.json: it is not a dataset")
    said = refused(pipeline.__main__.main, "retry", capsys=capsys)
    assert said.startswith("pipeline retry: missing --dataset PLACE, --where [STR [STR ...]]. Next: ")


# Each: words after `python -m manifests`, and what must be said.
WRONG_WORDS = {
    (): "manifests: no command, known: show, diff, ",
    ("shw",): "manifests: unknown command 'shw', known: show, diff, ",
    ("show",): "manifests: missing dataset PLACE. Next: python -m manifests show --help",
    ("show", "d", "--jso"): "manifests: unknown flag --jso, perhaps --json. Next: python -m manifests show ",
    (
        "report",
        "d",
        "--against",
        "x://y",
    ): "manifests: --against {None}|PLACE: x:// is no known kind",
    ("select", "d", "--out"): "manifests: --out {None}|PLACE: no value is given. Next: ",
}


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_wrong_words_to_manifests_are_one_line(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(manifests.__main__.main, *words, capsys=capsys).startswith(WRONG_WORDS[words])
