"""What a dataset's data card says that it cannot promise, by the settings that it was built with."""

from collections.abc import Iterator
from typing import Any

from manifests.schema import Manifest


def known_limits(manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each limit. Settings of other versions that are not there are passed over."""
    config = manifest.config
    yield "Licences and authors are what sources said of them; nobody has checked a picture's."
    yield "The language of a caption is a model's guess: names and short captions are often misjudged."
    yield "What is unsafe is found by lists and models, each with a rate of misses: something unsafe is left."
    yield (
        "Pictures and captions show and name people. Only some patterns of personal data are looked for in "
        "captions, and nothing in pictures."
        if _at(config, "text", "personal") is not None
        else "Pictures and captions show and name people; personal data was not looked for."
    )
    keep = _at(config, "text", "language", "keep")
    if isinstance(keep, list | tuple) and keep:
        yield f"Only captions in these languages were kept: {', '.join(map(str, keep))}."
    cap = _at(config, "cap", "max_pairs_per_query")
    if isinstance(cap, int):
        yield f"Subjects follow the search terms, with at most {cap:,} pairs each by the rule of the cap."
    if _at(config, "dedup", "max_distance") is None:
        yield "Only exact copies were looked for: near-duplicates are left."
    else:
        yield "Near-duplicates are found by a perceptual hash: crops and strongly edited copies are left."
    if not _at(config, "dedup", "evaluation_sets"):
        yield "No evaluation set was kept out: test pictures of benchmarks may be in it."
    if not any(change.kind == "score" for change in manifest.history) and not _at(config, "scores", "onnx"):
        yield "No model has looked at the pictures: what is unsafe in them alone is not known."


def _at(config: dict[str, Any], *names: str) -> Any:
    """Return a nested setting; None where there is none."""
    value: Any = config
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
