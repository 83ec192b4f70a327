"""Figures on the research sets' validation splits, below which the weights must not fall."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from analysis import Sentiment
from analysis.base import KNOWN_LANGUAGES
from analysis.bundled import Bundled
from analysis.calibration import INTENTS
from analysis.tagger import SENTIMENTS


@pytest.mark.timeout(300)
def test_sentiment_on_the_validation_tweets(analyser: Bundled, research_data: Path) -> None:
    folder = research_data / "sentiment" / "tweets-en"
    texts = (folder / "val_text.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    gold = [SENTIMENTS[int(line)] for line in (folder / "val_labels.txt").read_text(encoding="utf-8").split()]
    assert len(texts) == len(gold) == 2_000
    found = [tags.sentiment.label for tags in analyser.tags(texts)]
    recalls = [
        np.mean([one is label for one, right in zip(found, gold, strict=True) if right is label]) for label in Sentiment
    ]
    assert np.mean(recalls) >= 0.725
    assert min(recalls) >= 0.60


def test_sentiment_in_the_languages_that_count_as_known(analyser: Bundled, research_data: Path) -> None:
    from analysis.training.measure import mood_figures

    by_language = cast(dict[str, float], mood_figures(research_data, analyser)["umsab_macro_f1"])
    known = {language: by_language[language] for language in KNOWN_LANGUAGES}
    assert min(known.values()) >= 55
    assert np.mean(list(known.values())) >= 66


def test_intent_on_posts_that_were_held_out(analyser: Bundled, research_data: Path) -> None:
    from analysis.training.intents import labelled_twice
    from analysis.training.scores import macro_f1

    texts, gold = labelled_twice(research_data, "held")
    found = np.asarray([INTENTS.index(tags.intent.label) for tags in analyser.tags(texts)])
    assert len(texts) == 300
    assert macro_f1(found, [INTENTS.index(label) for label in gold], len(INTENTS)) >= 72
