"""Names of shards as one pattern of braces, which open_clip and webdataset expand."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise


def braced(names: Sequence[str]) -> str:
    """Return the shortest pattern of runs that stands for these names, in their order, and no others.

    Numbers that are missing between them, as after a takedown, are left out.

    >>> braced(["00000", "00001", "00002"])
    '{00000..00002}'
    >>> braced(["00000", "00002", "00003", "00004", "00006"])
    '{00000,{00002..00004},00006}'
    >>> braced(["00007"])
    '00007'
    """
    runs = [_run(run) for run in _runs(names)]
    return runs[0] if len(runs) == 1 else "{" + ",".join(runs) + "}"


def _run(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{{{names[0]}..{names[-1]}}}"


def _runs(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield the names in groups of numbers that follow each other and have as many digits."""
    names = list(names)
    run = names[:1]
    for before, name in pairwise(names):
        if _follows(before, name):
            run.append(name)
        else:
            yield run
            run = [name]
    if run:
        yield run


def _follows(before: str, name: str) -> bool:
    # "{08..12}" keeps its zeros, "{99998..100001}" would gain one: as many digits in all of a run.
    both = before.isdecimal() and name.isdecimal() and len(before) == len(name)
    return both and int(name) == int(before) + 1


def expanded(pattern: str) -> list[str]:
    """Return the names that a pattern stands for, as a shell expands it.

    >>> expanded("{00000,{00002..00004}}.tar")
    ['00000.tar', '00002.tar', '00003.tar', '00004.tar']
    """
    head, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    inside, tail = _closed(rest, pattern)
    return [head + middle + end for middle in _choices(inside) for end in expanded(tail)]


def _closed(text: str, pattern: str) -> tuple[str, str]:
    """Return what stands before the brace that closes an open one, and what after."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if not depth:
            return text[:place], text[place + 1 :]
    raise ValueError(f"{pattern} has a brace that is not closed. Next: correct it")


def _choices(inside: str) -> list[str]:
    if run := re.fullmatch(r"(\d+)\.\.(\d+)", inside):
        first, last = run.groups()
        return [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
    parts, depth = [""], 0
    for letter in inside:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [name for part in parts for name in expanded(part)]
