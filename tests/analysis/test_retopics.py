"""Topics from stored embeddings, another taxonomy without another model, and what people's corrections teach."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import AnalysisError, Rereads, Topic, default_topics, load_topics, parse_topics, write_topics
from analysis.bundled import Bundled
from analysis.topics import Floats, Matcher

TEXTS = [
    "Third parcel in a row that never arrived",
    "The app crashes whenever I open the basket",
    "Happy birthday to my sister!",
    "Delivery was quick but the shoes fell apart after two weeks",
    "   ",
    "Two hours on hold and the support team hung up",
]


def names(analyser: Bundled, text: str) -> list[str]:
    return [topic.name for topic in analyser.tags([text])[0].topics]


def test_stored_embeddings_give_the_very_topics_that_reading_gave(analyser: Bundled) -> None:
    said = analyser.tags(TEXTS)
    assert isinstance(analyser, Rereads)
    assert analyser.topics([one.embedding for one in said], [one.language for one in said]) == [
        one.topics for one in said
    ]
    assert any(len(one.topics) > 1 for one in said)
    assert analyser.topics([], []) == []


def test_another_taxonomy_is_the_same_as_an_analyser_opened_with_it(analyser: Bundled) -> None:
    changed = (*default_topics()[2:], Topic("Birthdays", ("birthday wishes",)))
    other = analyser.with_topics(changed)
    anew = Bundled(changed, threads=1)
    for text in TEXTS:
        # Beside other texts in its batch an int8 vector differs a little.
        assert names(other, text)[:1] == names(anew, text)[:1]
    assert names(other, "Happy birthday to my sister!") == ["Birthdays"]
    assert names(analyser, "Happy birthday to my sister!") == [], "the first one keeps its own"


def test_another_taxonomy_reads_only_what_is_new() -> None:
    read: list[str] = []

    def embed(texts: Sequence[str]) -> Floats:
        read.extend(texts)
        return np.eye(64, dtype=np.float32)[[hash(text) % 64 for text in texts]]

    matcher = Matcher([Topic("A", ("one", "two", "one")), Topic("B", ("three",))], embed, 0.5)
    assert sorted(read) == ["one", "three", "two"]
    read.clear()
    matcher.with_topics([Topic("B", ("three", "two")), Topic("C", ("four",), ("five",), ("one",))])
    assert read == ["four", "five"]


def test_an_example_brings_the_topic_to_what_is_like_it(analyser: Bundled) -> None:
    text = "Three weeks now and still nothing has turned up at my door"
    words = "Four weeks and nothing turned up at my door yet"
    topics = [Topic("Price", ("too expensive",)), Topic("Delivery", ("courier",))]
    assert names(analyser.with_topics(topics), words) == []
    topics[1] = Topic("Delivery", ("courier",), (text,))
    assert names(analyser.with_topics(topics), words) == ["Delivery"]


def test_a_counterexample_keeps_the_topic_from_what_is_like_it_and_from_nothing_else(analyser: Bundled) -> None:
    away = "I delivered a speech about parcels of land at the town hall"
    like = "She delivered a speech on parcels of land in the town hall"
    told = analyser.with_topics([Topic("Delivery", ("delivery of a parcel",))])
    taught = analyser.with_topics([Topic("Delivery", ("delivery of a parcel",), counterexamples=(away,))])
    assert names(told, like) == ["Delivery"]
    assert names(taught, like) == []
    assert names(taught, "My parcel was not delivered") == ["Delivery"]


def test_what_was_confirmed_as_often_as_refused_stays(analyser: Bundled) -> None:
    same = "I delivered a speech about parcels of land"
    taught = analyser.with_topics([Topic("Delivery", ("courier",), (same,), (same,))])
    assert names(taught, same) == ["Delivery"]


def test_a_topic_needs_more_than_counterexamples(analyser: Bundled) -> None:
    with pytest.raises(AnalysisError, match="'Delivery' has no phrase"):
        analyser.with_topics([Topic("Delivery", (), (), ("a speech",))])


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: bool("".join(character for character in text if character.isprintable()).strip())
)
sound = st.builds(Topic, words.map(str.strip).filter(bool), st.lists(words, max_size=4).map(tuple))


@given(st.lists(sound, min_size=1, max_size=5, unique_by=lambda topic: topic.name.casefold()))
def test_what_is_written_as_toml_is_read_back(topics: list[Topic]) -> None:
    described = [Topic(one.name, (*one.phrases, "something"), one.phrases) for one in topics]
    assert parse_topics(write_topics(described)) == tuple(described)


def test_an_exported_taxonomy_is_a_file_that_the_command_line_reads(tmp_path: Path) -> None:
    file = tmp_path / "topics.toml"
    file.write_text(write_topics(default_topics()), "utf-8")
    assert load_topics(file) == default_topics()
    assert "examples" not in file.read_text("utf-8")


@pytest.mark.parametrize("text", ["lone \ud800 surrogate", 'quote " backslash \\', "\x00\x1f\x7f", "line\nbreak"])
def test_no_text_breaks_the_file(text: str) -> None:
    assert tomllib.loads(write_topics([Topic("A", (text,))]))["topic"][0]["name"] == "A"
