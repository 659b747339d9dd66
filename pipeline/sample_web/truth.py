"""What should become of every candidate of the sample web, worked out from what was put there."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from filters.hashes import sha256_hex
from filters.reasons import Reason
from filters.sampling import pair_id
from filters.urls import canonical_url

KEPT = "kept"
# Reasons that are given before addresses are compared with each other.
BEFORE_DISTINCT = frozenset(
    {
        Reason.URL_INVALID,
        Reason.NO_QUERY,
        Reason.CAPTION_TOO_SHORT,
        Reason.CAPTION_FILE_NAME,
        Reason.CAPTION_BOILERPLATE,
        Reason.CAPTION_FEW_LETTERS,
        Reason.CAPTION_UNSAFE,
        Reason.CAPTION_LANGUAGE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A picture's address with a text, as a source gives it."""

    url: str
    caption: str
    group: int  # the drawn picture, or what the caption promises where there is none
    role: str  # why it was put there
    reason: Reason | None  # why it must be dropped, comparison with others aside
    data: bytes | None = None  # what the address answers, for those without such a reason
    num_pixels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthRow:
    """The outcome of one distinct (url, caption): "kept", or the Reason that it must be dropped for."""

    url: str
    caption: str
    outcome: str
    group: int
    role: str


def outcomes(mentions: Iterable[Mention]) -> list[TruthRow]:
    """Return one row per distinct (url, caption), in the order of first mention.

    Of several captions for one address, whose places all rank alike here, the pair of smallest pair_id goes
    on; of copies the one of most pixels, then most bytes, then smallest pair_id.
    """
    distinct = {(mention.url, mention.caption): mention for mention in mentions}
    found: dict[tuple[str, str], str] = {}
    by_url: dict[str, list[Mention]] = defaultdict(list)
    for key, mention in distinct.items():
        if mention.reason in BEFORE_DISTINCT:
            found[key] = str(mention.reason)
        else:
            assert canonical_url(mention.url) == mention.url, f"{mention.url} is not spelt canonically"
            by_url[mention.url].append(mention)
    copies: dict[int, list[Mention]] = defaultdict(list)
    for same_url in by_url.values():
        first, *others = sorted(same_url, key=id_of)
        found |= {(other.url, other.caption): str(Reason.DUPLICATE_URL) for other in others}
        if first.reason is None:
            copies[first.group].append(first)
        else:
            found[first.url, first.caption] = str(first.reason)
    for group in copies.values():
        found |= judge_copies(group)
    return [
        TruthRow(
            url=url, caption=caption, outcome=found[url, caption], group=mention.group, role=mention.role
        )
        for (url, caption), mention in distinct.items()
    ]


def judge_copies(copies: list[Mention]) -> dict[tuple[str, str], str]:
    """Return which of the copies of one picture is kept, and how each other one is one of a better one."""
    found: dict[tuple[str, str], str] = {}
    better: set[str] = set()
    for mention in sorted(
        copies, key=lambda mention: (-mention.num_pixels, -len(mention.data or b""), id_of(mention))
    ):
        sha256 = sha256_hex(mention.data or b"")
        dropped = Reason.EXACT_DUPLICATE if sha256 in better else Reason.NEAR_DUPLICATE
        found[mention.url, mention.caption] = str(dropped) if better else KEPT
        better.add(sha256)
    return found


def id_of(mention: Mention) -> str:
    """Return the mention's pair_id."""
    return pair_id(mention.url, mention.caption)
