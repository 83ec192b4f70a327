"""What the bundled model costs beside its throughput: one text alone, growth with length, two workers, memory, start.

`python -m benchmarks.analyser` prints a JSON line each:
- tagging_one_text: milliseconds for one tweet alone; the baseline is its share of a batch of 32.
- tagging_by_length: texts of 96 words a second; the baseline is those of 12 words. Linear growth is a ratio of 0.125.
- tagging_two_workers: texts a second of two processes with one thread each; the baseline is one process with two.
- tagging_memory: peak MB of a worker's process that tagged English and other texts; the baseline is one that tagged
  nothing. Where there is /proc only.
- tagging_first_tag: seconds from a started interpreter to the first tag; the baseline is `import transformers`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from analysis import Analyser, open_analyser
from benchmarks.tagging import made_up, real_tweets

ROOT = Path(__file__).parents[1]
TEXTS = 1_000
BATCH = 32
ROUNDS = 3

_FIRST_TAG = "from analysis import open_analyser; open_analyser().tags(['The parcel came late again'])"
_TRANSFORMERS = "import transformers; transformers.AutoTokenizer"
_WORKER = """
import sys, worker
from analysis import open_analyser
texts = sys.stdin.read().split("\\n")
if len(texts) > 1:
    open_analyser(threads=2).tags(texts)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
_READING = """
import sys, time
from analysis import open_analyser
analyser = open_analyser(threads=int(sys.argv[1]))
texts = sys.stdin.read().split("\\n")
analyser.tags(texts[:32])
print("ready", flush=True)
began = time.perf_counter()
analyser.tags(texts)
print(time.perf_counter() - began)
"""
# The same thing in other words, so that the multilingual encoder is in memory, too.
_ELSEWHERE = [
    "Das Paket ist schon wieder zu spät gekommen und niemand antwortet",
    "Le colis est encore arrivé en retard et personne ne répond",
    "El paquete llegó otra vez tarde y nadie contesta",
]


def say(name: str, value: float, unit: str, baseline: float, baseline_name: str, **more: object) -> None:
    """One JSON line."""
    figures = {"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3)}
    print(
        json.dumps({**figures, "ratio": round(value / baseline, 3), **more, "baseline_name": baseline_name}), flush=True
    )


def seconds(analyser: Analyser, texts: Sequence[str]) -> float:
    """The median time of a few rounds over the same texts."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        analyser.tags(texts)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def one_text(analyser: Analyser, texts: Sequence[str]) -> None:
    """A person waits for one text, a worker for many."""
    some = texts[:200]
    alone = sum(seconds(analyser, [text]) for text in some) / len(some)
    together = seconds(analyser, some) / len(some)
    say("tagging_one_text", 1000 * alone, "ms", 1000 * together, f"the same text among {len(some)}, batches of {BATCH}")


def by_length(analyser: Analyser) -> None:
    """Twelve words against eight times as many."""
    words = [text.split() for text in made_up(400)]
    short = [" ".join((some * 12)[:12]) + f" {number}" for number, some in enumerate(words)]
    long = [" ".join((some * 96)[:96]) + f" {number}" for number, some in enumerate(words)]
    rate, long_rate = len(short) / seconds(analyser, short), len(long) / seconds(analyser, long)
    say("tagging_by_length", long_rate, "texts/s", rate, "12 words", words=96)


def two_workers(texts: Sequence[str]) -> None:
    """Whether a second worker on the same machine helps."""
    halves = ["\n".join(texts[0::2]), "\n".join(texts[1::2])]
    one = len(texts) / max(_read_in_processes(["\n".join(texts)], threads=2))
    two = len(texts) / max(_read_in_processes(halves, threads=1))
    say("tagging_two_workers", two, "texts/s", one, "one process with two threads")


def _read_in_processes(inputs: Sequence[str], threads: int) -> list[float]:
    """The seconds that each process needed for its texts, all at once."""
    running = []
    for text in inputs:
        process = subprocess.Popen(
            [sys.executable, "-c", _READING, str(threads)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
        running.append(process)
    found = []
    for process in running:
        assert process.stdout is not None
        ready, taken = process.stdout.read().split()
        assert ready == "ready"
        found.append(float(taken))
        process.wait()
    return found


def memory(texts: Sequence[str]) -> None:
    """The peak of a worker's process, as the kernel counts it."""
    if not Path("/proc/self/status").exists():
        print("tagging_memory is not measured: there is no /proc here", file=sys.stderr)
        return
    full, empty = (_peak("\n".join(some)) for some in ([*texts, *_ELSEWHERE], []))
    say("tagging_memory", full, "MB", empty, "a worker that tagged nothing")


def _peak(text: str) -> float:
    command = [sys.executable, "-c", _WORKER]
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6


def first_tag() -> None:
    """What a restart costs until the first mention is tagged."""
    ours, theirs = ([_run(code) for _ in range(ROUNDS)] for code in (_FIRST_TAG, _TRANSFORMERS))
    say("tagging_first_tag", statistics.median(ours), "s", statistics.median(theirs), "import transformers")


def _run(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Prints the five lines."""
    texts = real_tweets(TEXTS) or made_up(TEXTS)
    analyser = open_analyser(threads=2)
    analyser.tags(texts[:BATCH])
    one_text(analyser, texts)
    by_length(analyser)
    del analyser
    two_workers(texts)
    memory(texts)
    first_tag()


if __name__ == "__main__":
    main()
