"""The names by which a dataset knows the files that its sources have read."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath


def names_of(files: Sequence[str]) -> list[str]:
    """Return a name for each file: a URL as it is, and of a file on this machine as many last parts of its
    path as tell it from the others. So a dataset does not say where it was built.

    >>> names_of(["https://a.example/x.warc.gz", "/data/one/urls.csv", "/data/two/urls.csv", "/data/b.csv"])
    ['https://a.example/x.warc.gz', 'one/urls.csv', 'two/urls.csv', 'b.csv']
    """
    parts = [(file,) if "://" in file else PurePath(file).parts for file in dict.fromkeys(files)]
    names, length = dict[tuple[str, ...], str](), 1
    while len(names) < len(parts):
        tails = {each: each[-length:] for each in parts if each not in names}
        counts = Counter(tails.values())
        alone = {each for each, tail in tails.items() if counts[tail] == 1 or len(each) <= length}
        names |= {each: PurePath(*tails[each]).as_posix() if each[1:] else each[0] for each in alone}
        length += 1
    of_file = dict(zip(dict.fromkeys(files), (names[each] for each in parts), strict=True))
    return [of_file[file] for file in files]
