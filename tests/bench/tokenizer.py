"""Captions per CPU second against open_clip's SimpleTokenizer on the same real texts; the ids are the same.

Batches of 64 captions become tensors of ids, cut to 77. Both sides remember words: the first round has to
learn them, the others find them; the median is of the others.
"""

import gzip
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.wat import PEER_PYTHON, ask

SHARED = Path(__file__).parent.parent.parent / "../shared/data"
CLIP_VOCAB = SHARED / "text/clip/openai_bpe_simple_vocab_16e6.txt.gz"
BATCH_SIZE, NUM_ROUNDS = 64, 9


def serve(side: str, captions_at: Path) -> None:
    """Tokenize all captions once per line of input; report what it took and a hash of the ids."""
    captions = json.loads(captions_at.read_text())
    batches = [captions[start : start + BATCH_SIZE] for start in range(0, len(captions), BATCH_SIZE)]
    if side == "ours":
        from train.config import TokenizerConfig
        from train.tokenizer import build_tokenizer, encode

        bpe = build_tokenizer(TokenizerConfig(kind="clip", clip_vocab=CLIP_VOCAB), [])
    else:
        from tests.bench.peer_ops import define_torchvision_ops

        define_torchvision_ops()
        import open_clip

        tokenizer = open_clip.SimpleTokenizer()
    for _ in sys.stdin:
        started = time.process_time()
        found = [encode(bpe, batch, 77) if side == "ours" else tokenizer(batch) for batch in batches]
        seconds = time.process_time() - started
        digest = hashlib.sha256()
        for ids in found:
            for row in ids.tolist():
                digest.update(json.dumps(row + [0] * (77 - len(row))).encode())
        print(json.dumps({"cpu_s": seconds, "ids": digest.hexdigest()}), flush=True)


def alt_texts() -> list[str]:
    """Return 10,000 captions of real pages."""
    (path,) = SHARED.glob("text/alttext/*.jsonl.gz")
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    return [next(value for name in ("caption", "TEXT", "text") if (value := row.get(name))) for row in rows]


def textbook() -> list[str]:
    """Return the alt texts and captions of textbooks: long ones, with curled quotes."""
    lines = (SHARED / "pairs/textbook/pairs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row[name] for row in rows for name in ("alt", "caption") if isinstance(row.get(name), str)]


def compare(captions: list[str]) -> dict[str, object]:
    """Return captions per CPU second of both sides and the ratio, of rounds in turns."""
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    ids: set[object] = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "captions.json"
        path.write_text(json.dumps(captions))
        pythons = {"ours": sys.executable, "peer": str(PEER_PYTHON)}
        sides = {
            side: subprocess.Popen(
                [python, "-m", "tests.bench.tokenizer", side, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for side, python in pythons.items()
        }
        for _ in range(NUM_ROUNDS):
            for side, process in sides.items():
                answer = ask(process)
                seconds[side].append(answer["cpu_s"])
                ids.add(answer["ids"])
        for process in sides.values():
            process.communicate()
    assert len(ids) == 1, "the ids differ"
    rates = {side: [len(captions) / spent for spent in found] for side, found in seconds.items()}
    medians = {side: statistics.median(found[1:]) for side, found in rates.items()}
    return {
        "num_captions": len(captions),
        "mean_characters": round(statistics.mean(map(len, captions)), 1),
        **{side: round(median) for side, median in medians.items()},
        **{f"{side}_range": [round(min(rates[side][1:])), round(max(rates[side][1:]))] for side in rates},
        **{f"{side}_first": round(found[0]) for side, found in rates.items()},
        "ratio": round(medians["ours"] / medians["peer"], 2),
    }


def main() -> int:
    """Print one line of JSON: captions per CPU second of alt texts and of textbooks."""
    if not PEER_PYTHON.exists() or not CLIP_VOCAB.is_file():
        sys.stderr.write("the peer (make peers) or the shared data is not there\n")
        return 2
    of_alt_texts, of_textbook = compare(alt_texts()), compare(textbook())
    ratio = {"ratio": of_alt_texts["ratio"], "ratio_textbook": of_textbook["ratio"]}
    print(json.dumps({"alt_texts": of_alt_texts, "textbook": of_textbook, **ratio}))
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], Path(sys.argv[2]))
        sys.exit(0)
    sys.exit(main())
