"""Topics: a taxonomy described in words, and how near each text comes to each of its topics."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.base import AnalysisError, Topic, TopicScore
from analysis.text import clean, mask

DEFAULT = Path(__file__).parent / "taxonomy.toml"

MOST_TOPICS = 3
"""A text is tagged with at most this many topics."""

MARGIN = 0.08
"""A second topic counts only when its cosine comes this close to the best one's."""

_ROUNDING = 1e-5
"""Two products of the same vectors may differ by so much: a text both confirmed and refused keeps its topic."""

Floats = NDArray[np.float32]


def load_topics(path: str | Path) -> tuple[Topic, ...]:
    """The topics of a taxonomy file, TOML (`[[topic]]` tables) or JSON (`{"topic": [...]}`, or the list alone).

    Raises AnalysisError, which names the file, the topic and what to change.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AnalysisError(f"cannot read the topics file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnalysisError(f"the topics file {path} is not UTF-8 text; save it as UTF-8") from error
    return parse_topics(text, path.suffix.lower() == ".json", str(path))


def parse_topics(text: str, as_json: bool = False, where: str = "topics") -> tuple[Topic, ...]:
    """The topics of a taxonomy file's text, see `load_topics`. `where` names the file in errors."""
    try:
        content = json.loads(text) if as_json else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        kind = "JSON" if as_json else "TOML"
        raise AnalysisError(f"the topics file {where} is not valid {kind}: {error}") from error
    entries = content.get("topic", content.get("topics")) if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        example = '{"topic": [{"name": "...", "phrases": ["...", ...]}]}'
        toml = 'each one is a [[topic]] with a name and phrases = ["...", ...]'
        raise AnalysisError(f"{where}: no topics found; {f'the file is {example}' if as_json else toml}")
    topics = tuple(_topic(entry, f"{where}: topic {number}") for number, entry in enumerate(entries, start=1))
    check_topics(topics, where)
    return topics


def write_topics(topics: Sequence[Topic]) -> str:
    """The text of a TOML file that `load_topics` reads as these topics; without what people's corrections taught."""
    return "\n".join(map(_table, topics))


def _table(topic: Topic) -> str:
    lines = ["[[topic]]", f"name = {_quoted(topic.name)}", f"phrases = {_list(topic.phrases)}"]
    return "\n".join([*lines, f"examples = {_list(topic.examples)}"] if topic.examples else lines) + "\n"


def _list(texts: Sequence[str]) -> str:
    return "[\n" + "".join(f"  {_quoted(text)},\n" for text in texts) + "]"


def _quoted(text: str) -> str:
    # A TOML string takes JSON's escapes; it refuses one control character more, and what is no Unicode at all.
    sound = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(sound, ensure_ascii=False).replace("\x7f", "\\u007F")


def _topic(entry: object, where: str) -> Topic:
    if not isinstance(entry, dict):
        raise AnalysisError(f"{where} is not a table with a name and phrases")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise AnalysisError(f"{where} has no name")
    where = f"{where} ({name.strip()})"
    if unknown := sorted(set(entry) - {"name", "phrases", "examples"}):
        raise AnalysisError(f"{where} has the unknown key {unknown[0]!r}; known are name, phrases and examples")
    return Topic(name.strip(), _texts(entry, "phrases", where), _texts(entry, "examples", where))


def _texts(entry: dict[str, object], key: str, where: str) -> tuple[str, ...]:
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise AnalysisError(
            f'{where}: {key} must be a list of texts, such as {key} = ["late parcel", "lost in the post"]'
        )
    return tuple(text for text in found if isinstance(text, str))


def check_topics(topics: Sequence[Topic], where: str = "topics") -> None:
    """Raises AnalysisError when two topics share a name, or when one has nothing that could be compared with a text."""
    names: set[str] = set()
    for topic in topics:
        if not topic.name.strip():
            raise AnalysisError(f"{where}: a topic has no name")
        if topic.name.casefold() in names:
            raise AnalysisError(f"{where}: two topics are named {topic.name!r}; merge them or rename one")
        names.add(topic.name.casefold())
        if not any(clean(text) for text in (*topic.phrases, *topic.examples)):
            raise AnalysisError(f"{where}: topic {topic.name!r} has no phrase; describe it in a few short ones")


def default_topics() -> tuple[Topic, ...]:
    """The taxonomy that Samtal starts with, fit for any consumer brand."""
    return load_topics(DEFAULT)


def _prepared(texts: Sequence[str]) -> list[str]:
    """What the encoder is given of them; those with nothing to read are left out."""
    return [prepared for text in texts if (prepared := mask(clean(text)))]


class Matcher:
    """Compares embeddings with a taxonomy.

    embed: texts to unit vectors [n, dimensions]; called once, with every phrase and example.
    threshold: the cosine below which a text is not about a topic.
    known: vectors of prepared texts that were embedded before, by their text.
    """

    def __init__(
        self,
        topics: Sequence[Topic],
        embed: Callable[[Sequence[str]], Floats],
        threshold: float,
        known: Mapping[str, Floats] | None = None,
    ) -> None:
        check_topics(topics)
        self._names = [topic.name for topic in topics]
        self._embed = embed
        self._threshold = threshold
        described = [_prepared((*topic.phrases, *topic.examples)) for topic in topics]
        refused = [_prepared(topic.counterexamples) for topic in topics]
        self._known = self._read([text for texts in (*described, *refused) for text in texts], known or {})
        self._vectors = self._of([text for texts in described for text in texts])
        self._starts = np.cumsum([0, *(len(texts) for texts in described)])[:-1]
        self._refused = {number: self._of(texts) for number, texts in enumerate(refused) if texts}

    def with_topics(self, topics: Sequence[Topic]) -> Matcher:
        """Another taxonomy under the same threshold; only texts that are new are embedded."""
        return Matcher(topics, self._embed, self._threshold, self._known)

    def _read(self, texts: Sequence[str], known: Mapping[str, Floats]) -> dict[str, Floats]:
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        vectors = dict(zip(fresh, self._embed(fresh), strict=True)) if fresh else {}
        return {text: known[text] if text in known else vectors[text] for text in dict.fromkeys(texts)}

    def _of(self, texts: Sequence[str]) -> Floats:
        return np.stack([self._known[text] for text in texts]) if texts else np.empty((0, 0), np.float32)

    def cosines(self, embeddings: Floats) -> Floats:
        """The cosine of each text with the nearest phrase or example of each topic, [texts, topics]."""
        near = np.maximum.reduceat(embeddings @ self._vectors.T, self._starts, axis=1)
        return np.asarray(near, np.float32)

    def scores(self, embeddings: Floats) -> list[tuple[TopicScore, ...]]:
        """The topics of each text, best first; none when no topic comes near enough."""
        if not self._names or not len(embeddings):
            return [()] * len(embeddings)
        near = self.cosines(embeddings)
        for number, vectors in self._refused.items():
            taken_away = (embeddings @ vectors.T).max(axis=1) > near[:, number] + _ROUNDING
            near[taken_away, number] = -1.0
        tagged = []
        for cosines in near:
            best = np.argsort(-cosines, kind="stable")[:MOST_TOPICS]
            least = max(self._threshold, float(cosines[best[0]]) - MARGIN)
            tagged.append(
                tuple(
                    TopicScore(self._names[number], round(min(float(cosines[number]), 1.0), 4))
                    for number in best
                    if cosines[number] >= least
                )
            )
        return tagged
