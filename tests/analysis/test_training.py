"""What training uses and needs no training framework for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis import AnalysisError, Intent, default_topics
from analysis.calibration import softmax
from analysis.training import corpus, intents, scores
from analysis.training.linear import class_weights, fit
from benchmarks import tagging


def test_a_linear_head_learns_what_is_linear() -> None:
    chance = np.random.default_rng(1)
    inputs = chance.normal(size=(300, 5)).astype(np.float32)
    labels = np.where(inputs[:, 0] > 0.5, 2, np.where(inputs[:, 1] > 0, 1, 0)).tolist()
    head = fit(inputs, labels, class_weights(labels, 3), 3, decay=1e-5)
    assert (head.probabilities(inputs).argmax(1) == labels).mean() > 0.9
    assert head.probabilities(inputs).sum(1) == pytest.approx(1, abs=1e-5)


def test_every_class_weighs_the_same() -> None:
    assert class_weights([0, 0, 0, 1], 2).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_the_temperature_is_found_again() -> None:
    chance = np.random.default_rng(2)
    logits = chance.normal(scale=2, size=(20_000, 3)).astype(np.float32)
    labels = [int(chance.choice(3, p=row / row.sum())) for row in softmax(logits).astype(np.float64)]
    assert scores.fit_temperature(np.asarray(logits * 1.7, np.float32), labels) == pytest.approx(1.7, rel=0.05)
    assert (
        scores.calibration_error(softmax(logits), labels)
        < 0.02
        < scores.calibration_error(softmax(np.asarray(logits * 3, np.float32)), labels)
    )


def test_the_written_mentions_name_topics_that_exist() -> None:
    mentions = intents.written_mentions()
    names = {topic.name for topic in default_topics()}
    assert {topic for mention in mentions for topic in mention.topics} <= names
    assert {mention.intent for mention in mentions} == set(Intent)
    assert len({mention.text for mention in mentions}) == len(mentions)


def test_the_labelled_lines_exist(research_data: Path) -> None:
    texts, labels = intents.learned(research_data)
    more, theirs = intents.kept_back(research_data)
    held, _ = intents.labelled_twice(research_data, "held")
    assert len(texts) == len(labels) and len(more) == len(theirs)
    assert not set(held) & {*texts, *more}, "what is held out is never fitted on"
    assert not set(more) & set(texts)
    assert all(texts)


def test_absent_data_says_how_to_name_its_folder(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="cannot read the training data .* give its folder with --data"):
        corpus.tweets(tmp_path, "train")


def test_the_benchmark_without_its_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRAINING_DATA", str(tmp_path))
    tagging.main(["--texts", "40", "--rounds", "1", "--threads", "1"])
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["name"] == "tagging_throughput"
    assert found["value"] > 1
    assert (found["baseline"], found["ratio"]) == (None, None)
    assert "skipped the baseline" in printed.err
