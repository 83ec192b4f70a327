from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import AnalysisError, Intent, Sentiment, Tags, Topic, open_analyser
from analysis.bundled import Bundled
from analysis.encoder import DIMENSIONS, ENGLISH, MULTILINGUAL, WEIGHTS, Encoder, Reading

TEXTS = [
    "Does the Fjell 2 fit mudguards wider than 50 mm?",
    "Third parcel in a row that never arrived",
    "best commuter I have owned",
    "it would be great if it also exported to GPX",
    "The store opens at nine",
]


def embedding(tags: Tags) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.frombuffer(tags.embedding, "<f2").astype(np.float32)


@pytest.mark.parametrize(
    ("text", "intent"),
    list(zip(TEXTS, [Intent.QUESTION, Intent.COMPLAINT, Intent.PRAISE, Intent.IDEA, Intent.OTHER], strict=True)),
)
def test_intents(analyser: Bundled, text: str, intent: Intent) -> None:
    assert analyser.tags([text])[0].intent.label is intent


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("I love this, best purchase in years!", Sentiment.POSITIVE),
        ("Worst service ever, I am furious", Sentiment.NEGATIVE),
        ("The store opens at nine", Sentiment.NEUTRAL),
    ],
)
def test_sentiments(analyser: Bundled, text: str, sentiment: Sentiment) -> None:
    assert analyser.tags([text])[0].sentiment.label is sentiment


def test_answers_come_in_the_order_of_the_texts(analyser: Bundled) -> None:
    mixed = [*TEXTS, "", *(f"{word} " * length for length, word in enumerate(["late", "nice", "broken", "blue"], 1))]
    alone = [analyser.tags([text])[0] for text in mixed]
    shuffled = list(range(len(mixed)))
    random.Random(3).shuffle(shuffled)
    together = analyser.tags([mixed[number] for number in shuffled])
    for number, tags in zip(shuffled, together, strict=True):
        assert tags.sentiment.positive == pytest.approx(alone[number].sentiment.positive, abs=0.2)
        if mixed[number]:
            # Dynamic quantisation scales a whole batch at once, so equal is not to the last bit.
            cosines = [float(embedding(tags) @ embedding(one)) for one in alone if one.embedding]
            texts = [text for text, one in zip(mixed, alone, strict=True) if one.embedding]
            assert texts[int(np.argmax(cosines))] == mixed[number]


def test_equal_texts_are_encoded_once(analyser: Bundled, monkeypatch: pytest.MonkeyPatch) -> None:
    analyser.tags(["Guten Morgen zusammen"])  # so that the multilingual encoder has read the taxonomy already
    seen: list[str] = []
    read = Encoder.read

    def counting(self: Encoder, texts: Sequence[str]) -> Reading:
        seen.extend(texts)
        return read(self, texts)

    monkeypatch.setattr(Encoder, "read", counting)
    found = analyser.tags(["same text", "same  text ", "hi @anna", "hi @bert", "same text", ""])
    assert sorted(seen) == ["hi @user", "same text"]
    assert found[0] == found[1] == found[4]
    assert found[2] == found[3] != found[0]


@pytest.mark.parametrize("text", ["", " \n\t", "\0", "\u200b\u202e", "\ud800"])
def test_a_text_with_nothing_to_read(analyser: Bundled, text: str) -> None:
    tags = analyser.tags([text])[0]
    assert (tags.sentiment.label, tags.intent.label) == (Sentiment.NEUTRAL, Intent.OTHER)
    assert (tags.language, tags.topics, tags.embedding) == ("und", (), b"")
    assert tags.sentiment.negative + tags.sentiment.neutral + tags.sentiment.positive == 1


def test_emoji_are_read(analyser: Bundled) -> None:
    bare, angry, in_love = (tags.sentiment for tags in analyser.tags(["my order", "my order 😡", "my order 😍"]))
    assert angry.negative > bare.negative + 0.1
    assert in_love.positive > bare.positive + 0.1


def test_the_words_for_emoji_do_not_make_a_text_english(analyser: Bundled) -> None:
    german, wordless = analyser.tags(["Das Rad fährt sich sehr gut 😍👍🔥", "😍👍🔥"])
    assert german.language == "de"
    assert wordless.language == "und"
    assert wordless.sentiment.label is Sentiment.POSITIVE


def test_no_texts(analyser: Bundled) -> None:
    assert analyser.tags([]) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.text(alphabet=st.characters(codec=None, exclude_categories=())),
            st.sampled_from(
                ["مرحبا بالعالم", "\u202eabc", "😀" * 50, "a" * 100_000, "ü\u0308" * 999, "[CLS] [SEP] [PAD]"]
            ),
        ),
        max_size=5,
    )
)
def test_no_text_is_too_odd(analyser: Bundled, texts: list[str]) -> None:
    found = analyser.tags(texts)
    assert len(found) == len(texts)
    for tags in found:
        mood = tags.sentiment
        shares = {
            Sentiment.NEGATIVE: mood.negative, Sentiment.NEUTRAL: mood.neutral, Sentiment.POSITIVE: mood.positive
        }  # fmt: skip
        assert sum(shares.values()) == pytest.approx(1)
        assert mood.label is max(shares, key=lambda label: shares[label])
        assert 0 <= tags.intent.score <= 1
        assert all(0 <= topic.score <= 1 for topic in tags.topics)
        assert tags.model == analyser.model
        if tags.embedding:
            assert len(tags.embedding) == 2 * DIMENSIONS
            assert float(np.linalg.norm(embedding(tags))) == pytest.approx(1, abs=0.01)


def test_alike_texts_have_alike_embeddings(analyser: Bundled) -> None:
    texts = ["my parcel is two weeks late", "the package got lost in the post", "here is a recipe for a chocolate cake"]
    late, lost, cake = map(embedding, analyser.tags(texts))
    assert late @ lost > late @ cake + 0.2


@pytest.mark.parametrize("encoder", [ENGLISH, MULTILINGUAL])
def test_the_tokenizer_is_that_of_transformers(encoder: str) -> None:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    path = str(WEIGHTS / encoder / "tokenizer.json")
    ours = Tokenizer.from_file(path)
    ours.no_padding()
    theirs = PreTrainedTokenizerFast(tokenizer_file=path)  # type: ignore[no-untyped-call]
    for text in [*TEXTS, "Ünïcödé 😀 @user http", "第三"]:
        assert ours.encode(text).ids == list(theirs(text)["input_ids"])


def test_threads_must_be_positive() -> None:
    with pytest.raises(AnalysisError, match="at least one thread"):
        open_analyser([], threads=0)


def test_without_topics_nothing_has_a_topic() -> None:
    tags = open_analyser([], threads=1).tags([TEXTS[1]])[0]
    assert tags.topics == ()
    assert tags.intent.label is Intent.COMPLAINT


def test_a_confirmed_example_pulls_its_likes() -> None:
    text = "the wobbly thing at the back came off on the cobbles"
    told = [
        Topic("Mudguards", ("mudguards",), ("wobbly thing at the back fell off on cobbles",)),
        Topic("Price", ("price",)),
    ]
    assert [topic.name for topic in open_analyser(told, threads=1).tags([text])[0].topics] == ["Mudguards"]


def test_missing_weights_say_what_to_do(tmp_path: object) -> None:
    from pathlib import Path

    with pytest.raises(AnalysisError, match="reinstall Samtal or run `make train`"):
        Bundled([], weights=Path(str(tmp_path)))
