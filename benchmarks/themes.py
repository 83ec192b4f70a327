"""How long a search for themes among 50,000 mentions takes, and how much memory; and what it finds in labelled texts.

`python -m benchmarks.themes` prints JSON lines: `themes_50k_seconds` and `themes_50k_memory` (megabytes, the whole
process at its peak, the embeddings included), each with the promise that it is held against, and `themes_quality`. The
50,000 texts are the research sets' own, read once by the encoder and kept beside the system's other caches, since
reading takes minutes and is not what is measured. Without the research sets the vectors are made up.
`--quality` measures the quality alone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MENTIONS = 50_000
SECONDS, MEGABYTES = 60, 2_000
"""The promise."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "samtal"
DATA = Path(os.environ.get("TRAINING_DATA", "../shared/data"))

Floats = NDArray[np.float32]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the JSON lines; ends with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.themes", description=__doc__.split("\n")[0])
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quality", action="store_true")
    options = parser.parse_args(arguments)
    if options.search:
        search(options.search)
        return
    if not options.quality:
        _measured()
    if (DATA / "intents").is_dir():
        for line in quality():
            print(json.dumps(line))
    else:
        print("skipped the quality: the research sets are not at TRAINING_DATA or ../shared/data", file=sys.stderr)


def _measured() -> None:
    path, real = prepared()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.themes", "--search", str(path)], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    about = {"mentions": MENTIONS, "texts": "real" if real else "made up", "themes": found["themes"]}
    print(json.dumps({"name": "themes_50k_seconds", "value": found["seconds"], "promise": SECONDS, **about}))
    print(json.dumps({"name": "themes_50k_memory", "value": found["megabytes"], "promise": MEGABYTES, **about}))
    if found["seconds"] > SECONDS or found["megabytes"] > MEGABYTES:
        print("A search for themes takes more than promised.", file=sys.stderr)
        sys.exit(1)


def search(path: Path) -> None:
    """Searches what is stored there, in this process alone, and prints what it took."""
    from analysis import themes

    with np.load(path, allow_pickle=False) as kept:
        vectors, texts = kept["vectors"], kept["texts"].tolist()
    began = time.perf_counter()
    clusters = themes.find(vectors, texts)
    known = [themes.Known(one.centroid, frozenset(one.members)) for one in clusters]
    themes.match(known, clusters, vectors.mean(axis=0, dtype=np.float32))
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(json.dumps({"seconds": round(seconds, 1), "megabytes": round(peak), "themes": len(clusters)}))


# What is searched -----------------------------------------------------------------------------------------------------


def prepared() -> tuple[Path, bool]:
    """Where the texts and their embeddings lie, and whether they are real."""
    CACHE.mkdir(parents=True, exist_ok=True)
    texts = real_texts()
    if texts is None:
        path = CACHE / "themes-made-up.npz"
        if not path.is_file():
            _keep(path, *made_up())
        return path, False
    from analysis.encoder import ENGLISH, WEIGHTS

    weights = hashlib.sha256((WEIGHTS / ENGLISH / "model.onnx").read_bytes()).hexdigest()[:12]
    path = CACHE / f"themes-{weights}.npz"
    if not path.is_file():
        print(f"Reading {len(texts):,} texts once; this takes minutes.", file=sys.stderr, flush=True)
        _keep(path, embedded(texts), texts)
    return path, True


def _keep(path: Path, vectors: Floats, texts: Sequence[str]) -> None:
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, vectors=vectors.astype(np.float16), texts=np.array([text[:500] for text in texts]))
    unfinished.replace(path)


def embedded(texts: Sequence[str]) -> Floats:
    """The encoder's embeddings of the texts, as the product makes them."""
    from analysis.encoder import Encoder
    from analysis.text import clean, mask

    return Encoder(threads=min(2, os.cpu_count() or 1)).read([mask(clean(text)) for text in texts]).embedding


def real_texts() -> list[str] | None:
    """Different texts of every research set in English, mixed; None where they are absent."""
    if not (DATA / "intents").is_dir():
        return None
    chatter = [text for part in ("train", "dev", "test") for text in _emotions(part)]
    intents = [text for part in ("train", "val", "test") for text, _ in _clinc(part)]
    intents += [text for part in ("train", "test") for text, _ in _banking(part)]
    different = list(dict.fromkeys([*intents, *chatter]))[:MENTIONS]
    np.random.default_rng(1).shuffle(different)
    return different


def made_up() -> tuple[Floats, list[str]]:
    """300 subjects, half of the texts, and chatter, the other half, with vectors as an encoder might give them."""
    chance = np.random.default_rng(1)
    words = [f"word{number}" for number in range(3_000)]
    centres = chance.normal(size=(300, 384))
    subject = chance.integers(0, 600, MENTIONS)
    vectors = chance.normal(size=(MENTIONS, 384))
    planted = subject < 300
    vectors[planted] += 2 * centres[subject[planted]]
    texts = [
        " ".join([*([f"subject{one}"] if one < 300 else []), *chance.choice(words, 12), str(number)])
        for number, one in enumerate(subject)
    ]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), texts


def _clinc(part: str) -> list[tuple[str, str]]:
    return [tuple(one) for one in json.loads((DATA / "intents/clinc150/data_full.json").read_text("utf-8"))[part]]


def _banking(part: str) -> list[tuple[str, str]]:
    with (DATA / "intents/banking77" / f"{part}.csv").open(encoding="utf-8", newline="") as lines:
        return [(row["text"], row["category"]) for row in csv.DictReader(lines)]


def _emotions(part: str) -> list[str]:
    lines = (DATA / "emotions/data/original" / f"{part}.tsv").read_text("utf-8").splitlines()
    # The set has "[NAME]" where a name stood: one word in common that no real text has.
    return [line.split("\t")[0].replace("[NAME]", "").replace("[RELIGION]", "") for line in lines]


# How good it is -------------------------------------------------------------------------------------------------------


def quality() -> list[dict[str, Any]]:
    """A line a labelled set: each alone, and both among chatter.

    ami: adjusted mutual information with the labels over all labelled texts, those in no theme as one group more.
    within: the same over those in a theme. covered: which share of the labelled texts that is. purity: which share of
    a theme's labelled texts has its commonest label. chatter: which share of the chatter is in a theme.
    """
    banking, clinc = _banking("test"), _clinc("val")
    chatter = [(text, "") for text in _emotions("dev")]
    read: dict[str, Floats] = {}
    texts = list(dict.fromkeys(text for text, _ in [*banking, *clinc, *chatter]))
    read = dict(zip(texts, embedded(texts), strict=True))
    return [
        {"name": "themes_quality", "set": name, **_judged(labelled, read)}
        for name, labelled in (
            ("banking77 test", banking),
            ("clinc150 val", clinc),
            ("both among GoEmotions dev", [*banking, *clinc, *chatter]),
        )
    ]


def _judged(labelled: Sequence[tuple[str, str]], read: dict[str, Floats]) -> dict[str, Any]:
    from analysis import themes

    clusters = themes.find(np.stack([read[text] for text, _ in labelled]), [text for text, _ in labelled], most=1_000)
    group = np.full(len(labelled), -1)
    for number, cluster in enumerate(clusters):
        group[list(cluster.members)] = number
    label = np.array([label for _, label in labelled])
    named = label != ""
    inside = named & (group >= 0)
    most = sum(max(Counter(label[inside & (group == one)]).values(), default=0) for one in range(len(clusters)))
    return {
        "texts": len(labelled),
        "themes": len(clusters),
        "ami": round(adjusted_mutual_information(label[named], group[named]), 3),
        "within": round(adjusted_mutual_information(label[inside], group[inside]), 3),
        "covered": round(float(inside.sum() / named.sum()), 3),
        "purity": round(most / max(int(inside.sum()), 1), 3),
        "chatter": round(float((group[~named] >= 0).mean()), 3) if (~named).any() else None,
    }


def adjusted_mutual_information(one: NDArray[Any], other: NDArray[Any]) -> float:
    """How much two partitions agree: 1 for the same, 0 for what chance would give (Vinh et al. 2010)."""
    from scipy.special import gammaln

    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    n = len(a)
    if n == 0 or a.max() == 0 or b.max() == 0:
        return 0.0
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    filled = table[table > 0]
    mutual = float((filled / n * np.log(n * filled / np.outer(rows, columns)[table > 0])).sum())
    expected = 0.0
    for row in rows:
        for column in columns:
            both = np.arange(max(1, row + column - n), min(row, column) + 1)
            chance = np.exp(
                gammaln(row + 1) + gammaln(column + 1) + gammaln(n - row + 1) + gammaln(n - column + 1)
                - gammaln(n + 1) - gammaln(both + 1) - gammaln(row - both + 1) - gammaln(column - both + 1)
                - gammaln(n - row - column + both + 1)
            )  # fmt: skip
            expected += float((both / n * np.log(n * both / (row * column)) * chance).sum())
    entropy = [-float((part / n * np.log(part / n)).sum()) for part in (rows, columns)]
    return (mutual - expected) / (sum(entropy) / 2 - expected)


if __name__ == "__main__":
    main()
