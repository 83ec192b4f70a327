"""`python -m analysis [--input FILE] [--topics FILE] [--model ID]`: a text a line in, a JSON object a line out."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import BinaryIO

from analysis import Analyser, AnalysisError, HubModel, Tags, load_topics, open_analyser

CHUNK = 512
"""Lines read before they are tagged: enough to sort by length, few enough to hold."""

CHUNK_CHARACTERS = 4_000_000
"""A chunk of long lines ends here instead, so that memory stays bounded."""

LONGEST_LINE = 1_048_576
"""Bytes kept of one line. Only the first 2,000 characters are tagged; a line without end must not fill the memory."""


ENDS_A_LINE = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What JSON leaves as it is and some readers take for the end of a line."""


def lines(source: BinaryIO) -> Iterator[str]:
    """The lines of `source` without their ends, each cut at LONGEST_LINE bytes; what is not UTF-8 becomes U+FFFD."""
    while piece := source.readline(LONGEST_LINE):
        line = piece
        while not piece.endswith(b"\n") and (piece := source.readline(LONGEST_LINE)):
            continue
        yield line.rstrip(b"\r\n").decode("utf-8", "replace")


def as_json(text: str, tags: Tags) -> str:
    """One line of output."""
    found = {
        "text": text,
        "language": tags.language,
        "sentiment": {
            "label": tags.sentiment.label.value,
            "negative": round(tags.sentiment.negative, 4),
            "neutral": round(tags.sentiment.neutral, 4),
            "positive": round(tags.sentiment.positive, 4),
        },
        "intent": {"label": tags.intent.label.value, "score": tags.intent.score},
        "topics": [{"name": topic.name, "score": topic.score} for topic in tags.topics],
        "model": tags.model,
    }
    return json.dumps(found, ensure_ascii=False).translate(ENDS_A_LINE)


def tag(source: BinaryIO, target: BinaryIO, analyser: Analyser) -> None:
    """Tags every line of `source` into `target`, a chunk at a time."""
    waiting: list[str] = []

    def write() -> None:
        for text, tags in zip(waiting, analyser.tags(waiting), strict=True):
            target.write(as_json(text, tags).encode("utf-8", "replace") + b"\n")
        target.flush()
        waiting.clear()

    characters = 0
    for line in lines(source):
        waiting.append(line)
        characters += len(line)
        if len(waiting) == CHUNK or characters >= CHUNK_CHARACTERS:
            write()
            characters = 0
    write()


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 when a file cannot be read or used."""
    words = "Tags a text a line in as a JSON object a line out, in order."
    parser = argparse.ArgumentParser(prog="python -m analysis", description=words)
    parser.add_argument("--input", metavar="FILE", help="a text a line; standard input when not given")
    parser.add_argument("--topics", metavar="FILE", help="a taxonomy, TOML or JSON; the built-in one when not given")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads; one per core when not given")
    model = "a checkpoint of the model hub for the sentiment, by id or folder; the bundled model goes on without it"
    parser.add_argument("--model", metavar="ID_OR_FOLDER", help=model)
    parser.add_argument("--revision", metavar="NAME", help="the checkpoint's branch, tag or commit")
    parser.add_argument("--labels", metavar="A=negative,…", help="what the checkpoint's labels mean")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="python -m analysis: %(message)s")  # to standard error
    sentiment = HubModel(options.model, options.revision, options.labels) if options.model else None
    try:
        with open(options.input, "rb") if options.input else nullcontext(sys.stdin.buffer) as source:
            topics = load_topics(options.topics) if options.topics else None
            analyser = open_analyser(topics, threads=options.threads, sentiment=sentiment)
            tag(source, sys.stdout.buffer, analyser)
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would fail once more when it flushes on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except AnalysisError as error:
        print(f"python -m analysis: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"python -m analysis: cannot read {options.input or 'standard input'}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
