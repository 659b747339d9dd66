"""The names of WordNet's synsets, read from its own database files or from lists of lemmas."""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import fsspec
import orjson

from pipeline.queries.wiki import opened

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
# Where an adjective may stand: "afloat(p)".
_POSITION = re.compile(r"\((?:a|p|ip)\)$")


def synset_names(folder: str) -> list[str]:
    """Return the distinct names of synsets in the order of the files: a synset's name is its first lemma.

    `folder` is a path or fsspec URL. For each part of speech the best file that is there is read: WordNet's
    data.noun, noun_synsets.jsonl ({"lemmas": [...]}), WordNet's index.noun, lemmas_noun.txt; the last two say
    no synsets, and each of their lemmas is taken. Any may be .gz. Raises ValueError where there is none.
    """
    filesystem, path = fsspec.core.url_to_fs(folder)
    files = {
        PurePosixPath(file).name: filesystem.unstrip_protocol(file) for file in _listing(filesystem, path)
    }
    names: dict[str, None] = {}
    for part in PARTS_OF_SPEECH:
        for name, read in _READERS.items():
            file = name.format(part)
            if url := files.get(file) or files.get(f"{file}.gz"):
                names.update(dict.fromkeys(_read(url, read)))
                break
    if not names:
        known = ", ".join(name.format("noun") for name in _READERS)
        raise ValueError(f"wordnet: {folder} holds no list of synsets; known files: {known} (.gz)")
    return list(names)


def _listing(filesystem: Any, path: str) -> list[str]:
    try:
        found: list[str] = filesystem.ls(path, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return found


def _read(url: str, read: Callable[[str], str]) -> Iterator[str]:
    with opened(url) as stream:
        for line in stream:
            # WordNet's licence stands at the head of its files, behind two spaces.
            if line.strip() and not line.startswith(b"  "):
                yield _POSITION.sub("", read(line.decode().rstrip("\r\n"))).replace("_", " ")


# data.noun: offset, lexicographer's file, part of speech, number of words, first word, ... (wndb(5WN))
_READERS: dict[str, Callable[[str], str]] = {
    "data.{}": lambda line: line.split(" ", 5)[4],
    "{}_synsets.jsonl": lambda line: str(orjson.loads(line)["lemmas"][0]),
    "index.{}": lambda line: line.split(" ", 1)[0],
    "lemmas_{}.txt": lambda line: line,
}
