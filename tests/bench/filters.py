"""How good and how fast the filters of captions are: `make bench NAME=filters`.

Language: sentences of 75 languages cut to 3 to 20 words, as captions are. Unsafe: the fifth of the labelled
comments, tweets, alt texts and captions that the classifier was never trained on; the word lists or the
classifier drop a text. `toxic_recall` is the lowest of the three groups of toxic texts, not their mean, which
thousands of tweets would rule. Speed: 10,000 real alt texts, CPU time, the median of several rounds, without
normalising. The peer is fastText's model alone, called as its own package does.
"""

import gzip
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from filters.checks import TextChecks, screen_captions
from filters.language import Language, _model
from filters.measure import cut_to_caption
from filters.personal import PersonalData
from filters.safety import UnsafeWords
from filters.text import normalise_caption
from filters.toxicity import ToxicText
from filters.training.toxicity import read_labelled

DATA = Path(__file__).parents[3] / "shared" / "data" / "text"
NUM_ROUNDS = 9
# Of the 75 languages, those of other scripts.
NOT_LATIN = "ar be bg bn el fa gu he hi hy ja ka kk ko mk mn mr pa ru sr ta te th uk ur zh"
TOXIC = ("toxic comments", "hateful tweets", "offensive tweets")

Shares = dict[str, float]


def language_kept() -> tuple[Shares, dict[str, int]]:
    """Return the share of each language's sentences that is kept, and their number."""
    rules, kept = Language(), defaultdict(list)
    with gzip.open(DATA / "langid/lingua_sentences.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [cut_to_caption(normalise_caption(row["text"])) for row in rows]
    for row, guess in zip(rows, rules.measure_all(texts), strict=True):
        kept[row["lang"]].append(rules.check(guess) is None)
    return {name: sum(each) / len(each) for name, each in kept.items()}, {n: len(k) for n, k in kept.items()}


def mixed_kept() -> Shares:
    """Return the share kept of captions whose first half is English and whose second half is not, and of the
    same sentences with the halves changed over."""
    rules, halves = Language(), defaultdict(list)
    with gzip.open(DATA / "langid/lingua_sentences.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            halves[row["lang"]].append(" ".join(normalise_caption(row["text"]).split()[:6]))
    shares = {}
    for other in ("de", "es", "fr", "ru", "ja"):
        pairs = list(zip(halves["en"], halves[other], strict=False))
        for name, texts in (
            (f"en+{other}", [f"{one} {two}" for one, two in pairs]),
            (f"{other}+en", [f"{two} {one}" for one, two in pairs]),
        ):
            guesses = rules.measure_all(texts)
            shares[name] = sum(rules.check(guess) is None for guess in guesses) / len(texts)
    return shares


def unsafe_dropped(*, held_out: bool) -> tuple[Shares, Shares, dict[str, int]]:
    """Return the share of each group that is dropped, that the lists alone drop, and the groups' sizes."""
    words, model = UnsafeWords(), ToxicText()
    both: dict[str, list[bool]] = defaultdict(list)
    listed: dict[str, list[bool]] = defaultdict(list)
    for group, text, _ in (each for each in read_labelled(DATA) if each.is_held_out or not held_out):
        by_list = words.check(words.measure(text)) is not None
        listed[group].append(by_list)
        both[group].append(by_list or model.check(model.measure(text)) is not None)
    return _shares(both), _shares(listed), {group: len(drops) for group, drops in both.items()}


def _shares(drops: dict[str, list[bool]]) -> Shares:
    return {group: sum(each) / len(each) for group, each in drops.items()}


def rate(run: Callable[[list[str]], object], captions: list[str]) -> tuple[float, float, float]:
    """Return the median, least and greatest number of captions per CPU second."""
    run(captions[:100])
    rates = []
    for _ in range(NUM_ROUNDS):
        started = time.process_time()
        run(captions)
        rates.append(len(captions) / (time.process_time() - started))
    return statistics.median(rates), min(rates), max(rates)


def check_with(check: Language | UnsafeWords | ToxicText | PersonalData) -> Callable[[list[str]], object]:
    """Return what measures and judges captions with a check."""
    judge: Callable[[object], object] = check.check  # type: ignore[assignment]  # its own measurement
    return lambda captions: [judge(measure) for measure in check.measure_all(captions)]


def unsafe(captions: list[str]) -> None:
    """Run the word lists and the classifier over all captions."""
    check_with(UnsafeWords())(captions)
    check_with(ToxicText())(captions)


def peer(captions: list[str]) -> None:
    """Ask the model as fastText's wrapper does: a list of lines, the labels and scores of each."""
    _model("").f.multilinePredict([f"{caption}\n" for caption in captions], 1, 0.0, "strict")


def main() -> None:
    """Measure and print."""
    kept, sizes = language_kept()
    others = [(name, share) for name, share in kept.items() if name != "en"]
    non_english = sum(share * sizes[name] for name, share in others) / sum(sizes[name] for name, _ in others)
    print(f"English kept: {kept['en']:.1%} of {sizes['en']}; other languages kept: {non_english:.2%}")
    latin = sorted(((share, name) for name, share in others if name not in NOT_LATIN.split()), reverse=True)
    print("Latin script, kept:", ", ".join(f"{name} {share:.1%}" for share, name in latin))
    rest = sorted(((share, name) for name, share in others if name in NOT_LATIN.split()), reverse=True)
    print("other scripts, kept:", ", ".join(f"{name} {share:.1%}" for share, name in rest))
    print("mixed, kept:", ", ".join(f"{name} {share:.0%}" for name, share in mixed_kept().items()))
    dropped, listed, sizes = unsafe_dropped(held_out=True)
    for group, share in dropped.items():
        print(
            f"held out, dropped: {group:18} {share:6.2%} (lists alone {listed[group]:.2%}) of {sizes[group]}"
        )
    everything, _, sizes = unsafe_dropped(held_out=False)
    print(f"of all {sizes['alt texts']} alt texts, most of them trained on: {everything['alt texts']:.2%}")
    with gzip.open(DATA / "alttext/laion_test_10000.jsonl.gz", "rt", encoding="utf-8") as lines:
        captions = [normalise_caption(json.loads(line)["text"]) for line in lines]
    rates = {
        "language": rate(check_with(Language()), captions),
        "unsafe (lists and classifier)": rate(unsafe, captions),
        "personal data": rate(check_with(PersonalData()), captions),
        "all checks of a caption": rate(lambda texts: screen_captions(texts, TextChecks()), captions),
        "peer: lid.176 alone": rate(peer, captions),
    }
    for name, (median, least, most) in rates.items():
        print(f"{name:30} {median:10,.0f} captions per CPU s ({least:,.0f} to {most:,.0f})")
    result = {
        "english_recall": round(kept["en"], 4),
        "non_english_kept": round(non_english, 4),
        "toxic_recall": round(min(dropped[group] for group in TOXIC), 4),
        "alttext_dropped": round(dropped["alt texts"], 4),
        "captions_per_cpu_s": round(rates["all checks of a caption"][0]),
        "language_captions_per_cpu_s": round(rates["language"][0]),
        "unsafe_captions_per_cpu_s": round(rates["unsafe (lists and classifier)"][0]),
        "peer_captions_per_cpu_s": round(rates["peer: lid.176 alone"][0]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
