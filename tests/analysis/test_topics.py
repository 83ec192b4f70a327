from __future__ import annotations

from pathlib import Path

import pytest

from analysis import AnalysisError, Topic, check_topics, default_topics, load_topics
from analysis.bundled import Bundled


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Third parcel in a row that never arrived", "Delivery"),
        ("The app crashes whenever I open the basket", "App and website"),
        ("I still have not got my money back for the jacket I returned", "Returns and refunds"),
        ("Two hours on hold and the support team hung up", "Customer service"),
        ("way too expensive since the price went up", "Price and value"),
        ("The charger overheated and nearly caught fire", "Safety"),
        ("When will the green one be back in stock?", "Availability"),
        ("How do I cancel my membership subscription", "Subscription and loyalty"),
        ("So much plastic packaging around one tiny thing", "Sustainability"),
    ],
)
def test_topics_by_phrases(analyser: Bundled, text: str, topic: str) -> None:
    found = analyser.tags([text])[0].topics
    assert found[0].name == topic
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@pytest.mark.parametrize(
    "text",
    [
        "Happy birthday to my sister!",
        "off to the lake with my father",
        "sunrise over the bay this morning",
        "who won the football last night",
    ],
)
def test_what_is_about_something_else_has_no_topic(analyser: Bundled, text: str) -> None:
    assert analyser.tags([text])[0].topics == ()


def test_the_default_taxonomy_is_sound() -> None:
    topics = default_topics()
    check_topics(topics)
    assert len(topics) >= 12
    assert all(len(topic.phrases) >= 5 for topic in topics)


def test_a_taxonomy_in_toml_and_the_same_in_json(tmp_path: Path) -> None:
    toml, json = tmp_path / "topics.toml", tmp_path / "topics.json"
    toml.write_text(
        '[[topic]]\nname = " Brakes "\nphrases = ["squeaky brakes", "ブレーキ"]\nexamples = ["they squeal"]\n', "utf-8"
    )
    json.write_text(
        '{"topic": [{"name": "Brakes", "phrases": ["squeaky brakes", "ブレーキ"], "examples": ["they squeal"]}]}',
        "utf-8",
    )
    expected = (Topic("Brakes", ("squeaky brakes", "ブレーキ"), ("they squeal",)),)
    assert load_topics(toml) == load_topics(str(json)) == expected
    json.write_text('[{"name": "Brakes", "phrases": ["squeaky brakes", "ブレーキ"], "examples": ["they squeal"]}]')
    toml.write_text(toml.read_text("utf-8").replace("[[topic]]", "[[topics]]"), "utf-8")
    assert load_topics(toml) == load_topics(json) == expected


def test_a_json_file_without_topics_is_told_what_json_looks_like(tmp_path: Path) -> None:
    saved = tmp_path / "topics.json"
    saved.write_text('{"Brakes": ["squeaky"]}')
    with pytest.raises(AnalysisError, match=r'no topics found; the file is \{"topic": \[\{"name"'):
        load_topics(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no topics found"),
        ("[[topic]\n", "not valid TOML.*line 1"),
        ("topic = 3", "no topics found"),
        ("topic = [3]", "topic 1 is not a table"),
        ('[[topic]]\nphrases = ["a"]', "topic 1 has no name"),
        ('[[topic]]\nname = "A"', "'A' has no phrase"),
        ('[[topic]]\nname = "A"\nphrases = "a"', r"topic 1 \(A\): phrases must be a list of texts"),
        ('[[topic]]\nname = "A"\nphrases = ["a", 1]', r"topic 1 \(A\): phrases must be a list of texts"),
        ('[[topic]]\nname = "A"\nphrases = [" "]', "'A' has no phrase"),
        ('[[topic]]\nname = "A"\nphrase = ["a"]', "unknown key 'phrase'"),
        ('[[topic]]\nname = "A"\nphrases = ["a"]\n[[topic]]\nname = "a"\nphrases = ["b"]', "two topics are named 'a'"),
    ],
)
def test_a_broken_taxonomy_says_what_is_wrong_and_where(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(AnalysisError, match=message) as error:
        load_topics(path)
    assert str(path) in str(error.value)


def test_a_taxonomy_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="cannot read the topics file .*No such file"):
        load_topics(tmp_path / "nowhere.toml")
    with pytest.raises(AnalysisError, match="cannot read the topics file .*directory"):
        load_topics(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('[[topic]]\nname = "Qualität"'.encode("latin-1"))
    with pytest.raises(AnalysisError, match="save it as UTF-8"):
        load_topics(latin)
    broken = tmp_path / "broken.json"
    broken.write_text('{"topic": [', "utf-8")
    with pytest.raises(AnalysisError, match="not valid JSON.*line 1"):
        load_topics(broken)
