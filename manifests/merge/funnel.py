"""The funnels of several datasets as one: what went into a stage, came out and was dropped, summed."""

from collections import Counter
from collections.abc import Sequence

from manifests.schema import StageCount

Funnel = Sequence[StageCount]


def united_funnel(funnels: Sequence[Funnel]) -> list[StageCount]:
    """Return the sum of funnels; a stage that a dataset has not gone through lets all of its pairs by."""
    names: list[str] = []
    for funnel in funnels:
        names = common_order(names, [stage.stage for stage in funnel])
    places = [_places(names, funnel) for funnel in funnels]
    return [_sum(name, [at[number] for at in places]) for number, name in enumerate(names)]


def common_order(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return a shortest list in which both stand in their order.

    >>> common_order(["crawl", "fetch", "dedup"], ["crawl", "fetch", "score", "dedup", "takedown"])
    ['crawl', 'fetch', 'score', 'dedup', 'takedown']
    """
    best: list[list[list[str]]] = [[[] for _ in range(len(second) + 1)] for _ in range(len(first) + 1)]
    for i in range(len(first), -1, -1):
        for j in range(len(second), -1, -1):
            if i == len(first) or j == len(second):
                best[i][j] = [*first[i:], *second[j:]]
            elif first[i] == second[j]:
                best[i][j] = [first[i], *best[i + 1][j + 1]]
            else:
                one, other = [first[i], *best[i + 1][j]], [second[j], *best[i][j + 1]]
                best[i][j] = one if len(one) <= len(other) else other
    return best[0][0]


def _places(names: Sequence[str], funnel: Funnel) -> list[StageCount]:
    """Return what a dataset has at each stage of the common order."""
    stages, left = list[StageCount](), list(funnel)
    num_pairs = funnel[0].num_in if funnel else 0
    for name in names:
        if left and left[0].stage == name:
            stages.append(left.pop(0))
        else:
            stages.append(StageCount(stage=name, num_in=num_pairs, num_out=num_pairs))
        num_pairs = stages[-1].num_out
    assert not left, (names, funnel)
    return stages


def _sum(name: str, stages: Sequence[StageCount]) -> StageCount:
    dropped = Counter[str]()
    for stage in stages:
        dropped.update(stage.dropped)
    return StageCount(
        stage=name,
        num_in=sum(stage.num_in for stage in stages),
        num_out=sum(stage.num_out for stage in stages),
        dropped=dict(sorted(dropped.items())),
    )
