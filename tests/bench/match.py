"""Matching 500,000 terms in 1,000,000 captions, against MetaCLIP's automaton: speed, memory, the same hits.

The peer is its published algorithm written anew (substr_matching with pyahocorasick): blanks around seven
marks, entries with blanks around, values (number, entry), a set per text. Terms: WordNet, words, pairs of
words and titles of the Wikipedia sample, then made-up pairs of words. Captions: real alt texts and texts of
schoolbooks, then the first half of an alt text with up to eight words of another text of either kind, which
makes them as long as web captions are (LAION-2B: 67 characters).

Each matcher lives in a process of its own; they take turns slice by slice, so that what else the machine does
falls on all. Time is the CPU time of its process, memory its resident set over that of a bare interpreter.
Each gets the list as a build would read it: "casefold" holds no two terms that differ in case alone.
"""

import bz2
import gzip
import json
import multiprocessing
import random
import re
import statistics
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from multiprocessing.connection import Connection
from pathlib import Path

from filters.words import words_of

NUM_QUERIES, NUM_CAPTIONS, NUM_ROUNDS = 500_000, 1_000_000, 5
NUM_SLICES = 20
CHUNK = 2_000
DATA = Path(__file__).parents[3] / "shared" / "data"

Matcher = Callable[[str], list[int]]
Turn = tuple[float, int, int, float]  # CPU seconds, digest and number of hits, memory in MB


def make_queries(distinct: Callable[[str], str] = str) -> list[str]:
    """Return terms of which no two are alike to `distinct`: WordNet, Wikipedia, then pairs of its words."""
    terms: dict[str, None] = {}
    for path in sorted((DATA / "text/wordnet").glob("lemmas_*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            terms |= dict.fromkeys(line.split()[0].replace("_", " ") for line in lines if line.strip())
    with bz2.open(
        DATA / "text/wikipedia/enwiki-latest-pages-articles1-shortened.xml.bz2", "rt", encoding="utf-8"
    ) as file:
        text = file.read()
    terms |= dict.fromkeys(re.findall("<title>([^<:]+)</title>", text))
    words = re.findall(r"[^\W\d_]+", text)
    terms |= dict.fromkeys(Counter(words))
    both = Counter(pairwise(words))
    terms |= dict.fromkeys(f"{first} {second}" for (first, second), count in both.items() if count >= 3)
    rng, known = random.Random(0), sorted(set(words))
    while len(alike := {distinct(term): term for term in reversed(terms)}) < NUM_QUERIES:
        terms |= {" ".join(rng.choices(known, k=2)): None for _ in range(NUM_QUERIES - len(alike))}
    return list(alike.values())[::-1][:NUM_QUERIES]


def make_captions() -> Iterator[str]:
    """Yield real captions, then recombined ones, without line ends."""
    with gzip.open(DATA / "text/alttext/laion_test_10000.jsonl.gz", "rt", encoding="utf-8") as lines:
        alts = [json.loads(line)["text"] for line in lines]
    with (DATA / "pairs/textbook/pairs.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    books = [row[name] for row in rows for name in ("alt", "caption") if row.get(name)]
    alts, books = ([" ".join(text.split()) for text in texts] for texts in (alts, books))
    yield from alts
    yield from books
    rng = random.Random(0)
    for _ in range(NUM_CAPTIONS - len(alts) - len(books)):
        first, last = rng.choice(alts).split(" "), rng.choice(rng.choice((alts, books))).split(" ")
        start = rng.randrange(len(last))
        yield " ".join(first[: (len(first) + 1) // 2] + last[start : start + rng.randrange(1, 9)])


def ours(mode: str) -> Callable[[Iterator[str]], Matcher]:
    """Return what builds our index in a mode."""

    def build(queries: Iterator[str]) -> Matcher:
        from filters.queries import QueryIndex

        return QueryIndex(queries, mode).matches  # type: ignore[arg-type]  # a mode, from MATCHERS below

    return build


def peer(queries: Iterator[str]) -> Matcher:
    """Build the peer's automaton and return its matching of a text."""
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for number, query in enumerate(queries):
        spaced = f" {query} "
        automaton.add_word(spaced, (number, spaced))
    automaton.make_automaton()

    def matches(text: str) -> list[int]:
        text = f" {text} "
        for mark in [",", ".", ";", ":", "?", "!", "`"]:
            text = text.replace(mark, f" {mark} ")
        for blank in ["\t", "\n", "\r"]:
            text = text.replace(blank, " ")
        found = set()
        for _, (number, _) in automaton.iter(text):
            found.add(number)
        return list(found)

    return matches


MATCHERS = {"metaclip": ours("metaclip"), "casefold": ours("casefold"), "peer": peer}


def serve(name: str, folder: Path, pipe: Connection) -> None:
    """In a process of its own: build, then match a slice of the captions per request; report what it took."""
    bare = resident_mb()
    started = time.process_time()
    terms = "casefold.txt" if name == "casefold" else "queries.txt"
    with (folder / terms).open(encoding="utf-8", newline="\n") as lines:
        matches = MATCHERS[name](line.removesuffix("\n") for line in lines)
    pipe.send((time.process_time() - started, resident_mb() - bare))
    while path := pipe.recv():
        seconds, digest, num_hits = 0.0, 0, 0
        with (folder / path).open(encoding="utf-8", newline="\n") as lines:
            while chunk := [line.removesuffix("\n") for line in islice(lines, CHUNK)]:
                started = time.process_time()
                found = [matches(caption) for caption in chunk]
                seconds += time.process_time() - started
                num_hits += sum(map(len, found))
                digest = zlib.crc32(repr([sorted(ids) for ids in found]).encode(), digest)
        pipe.send((seconds, digest, num_hits, resident_mb() - bare))


def resident_mb() -> float:
    """Return this process's resident set."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def write_slices(folder: Path) -> float:
    """Write the captions in slices, dealt out so that all are alike; return their mean length."""
    captions = list(make_captions())
    for number in range(NUM_SLICES):
        text = "".join(f"{caption}\n" for caption in captions[number::NUM_SLICES])
        (folder / f"{number}.txt").write_text(text)
    return sum(map(len, captions)) / len(captions)


def add_up(turns: list[Turn]) -> Turn:
    """Return seconds, a digest of all hits, their number and the largest memory of the turns of a round."""
    seconds, digests, hits, rss = zip(*turns, strict=True)
    return sum(seconds), zlib.crc32(repr(digests).encode()), sum(hits), max(rss)


def main() -> None:
    """Measure and print."""
    context = multiprocessing.get_context("spawn")
    report: dict[str, tuple[float, float]] = {}
    rounds: dict[str, list[Turn]] = {matcher: [] for matcher in MATCHERS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "queries.txt").write_text("".join(f"{query}\n" for query in make_queries()))
        (folder / "casefold.txt").write_text("".join(f"{query}\n" for query in make_queries(words_of)))
        mean_chars = write_slices(folder)
        pipes, builds = {}, {}
        for matcher in MATCHERS:
            pipes[matcher], other = context.Pipe()
            context.Process(target=serve, args=(matcher, folder, other), daemon=True).start()
            builds[matcher] = pipes[matcher].recv()
        for _ in range(NUM_ROUNDS):
            turns: dict[str, list[Turn]] = {matcher: [] for matcher in MATCHERS}
            for number in range(NUM_SLICES):
                for matcher, pipe in pipes.items():
                    pipe.send(f"{number}.txt")
                    turns[matcher].append(pipe.recv())
            for matcher, found in turns.items():
                rounds[matcher].append(add_up(found))
        for pipe in pipes.values():
            pipe.send("")
    for matcher, runs in rounds.items():
        rates = sorted(NUM_CAPTIONS / run[0] for run in runs)
        rss_mb = max(run[3] for run in runs)
        report[matcher] = (statistics.median(rates), rss_mb)
        print(
            f"{matcher:9} {statistics.median(rates):9,.0f} captions/s ({rates[0]:,.0f} to {rates[-1]:,.0f}), "
            f"built in {builds[matcher][0]:.2f} s, {builds[matcher][1]:.0f} MB, at the end {rss_mb:.0f} MB, "
            f"{runs[0][2] / NUM_CAPTIONS:.2f} hits a caption"
        )
    same = {rounds[name][0][1] for name in ("metaclip", "peer")}
    if len(same) != 1:
        sys.exit("the hits of mode metaclip are not the peer's")
    print("mode metaclip and the peer: the same hits in every caption")
    result = {
        "ratio": round(report["metaclip"][0] / report["peer"][0], 3),
        "ratio_casefold": round(report["casefold"][0] / report["peer"][0], 3),
        "rss_mb": round(max(report["metaclip"][1], report["casefold"][1]), 1),
        "peer_rss_mb": round(report["peer"][1], 1),
        "captions_per_s": round(report["metaclip"][0]),
        "casefold_captions_per_s": round(report["casefold"][0]),
        "peer_captions_per_s": round(report["peer"][0]),
        "num_hits": rounds["peer"][0][2],
        "mean_chars": round(mean_chars, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
