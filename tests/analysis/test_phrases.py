"""Phrases that a taxonomy lacks, and those that say the same twice; on bags of words, so that the reasons are plain."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import Topic
from analysis.phrases import SHOWN_WITHOUT, VOICES, Spoken, clashes, suggest
from tests.bag import Bag, embed

TAXONOMY = (Topic("Delivery", ("late parcel",)), Topic("Price", ("too expensive",)))
SPEAKERS = ("we hear", "he loathes", "she curses", "they fear", "you hide", "some love")


def spoken(text: str, voice: int, *topics: str, about: bool | None = None) -> Spoken:
    packed = embed([text])[0].astype("<f2").tobytes() if text.strip() else b""
    return Spoken(text, voice, topics, bool(topics) if about is None else about, packed)


def squeaks(*topics: str, voices: int = 6) -> list[Spoken]:
    return [spoken(f"{who} squeaking brakes", number % voices, *topics) for number, who in enumerate(SPEAKERS)]


def phrases(said: list[Spoken], taxonomy: tuple[Topic, ...] = TAXONOMY) -> tuple[dict[str, list[str]], list[str]]:
    by_topic, without = suggest(Bag(taxonomy), taxonomy, said)
    return {name: [one.phrase for one in found] for name, found in by_topic.items()}, [one.phrase for one in without]


def test_what_several_people_say_is_suggested_with_who_and_where() -> None:
    others = [spoken(f"something else {number}", 50 + number) for number in range(3)]
    _, (first, *_) = suggest(Bag(TAXONOMY), TAXONOMY, [*others, *squeaks()])
    assert (first.phrase, first.people, first.texts) == ("squeaking brakes", 6, 6)
    assert set(first.where) <= {3, 4, 5, 6, 7, 8}


def test_nobodys_own_words_are_suggested() -> None:
    assert phrases(squeaks(voices=VOICES - 1)) == ({"Delivery": [], "Price": []}, [])


def test_a_topics_texts_suggest_for_that_topic_alone() -> None:
    by_topic, without = phrases([*squeaks("Delivery"), *(spoken("nice weather", 90 + n) for n in range(2))])
    assert by_topic["Delivery"][0] == "squeaking brakes"
    assert by_topic["Price"] == without == []


def test_what_a_phrase_of_any_topic_says_already_is_not_suggested() -> None:
    known = (*TAXONOMY, Topic("Brakes", ("brakes squeaking",)))
    assert "squeaking brakes" not in phrases(squeaks(), known)[1]


def test_what_everybody_says_everywhere_tells_nothing() -> None:
    said = [spoken(f"{who} squeaking brakes", n, "Delivery") for n, who in enumerate(SPEAKERS)]
    said += [spoken(f"{who} squeaking brakes", 20 + n, "Price") for n, who in enumerate(SPEAKERS)]
    assert phrases(said)[0] == {"Delivery": [], "Price": []}


def test_names_and_links_are_no_phrases() -> None:
    said = [spoken(f"@hal squeaking https://example.org/{who}", n) for n, who in enumerate(SPEAKERS)]
    found = phrases(said)[1]
    assert found == ["squeaking"]


def test_no_mentions_suggest_nothing() -> None:
    assert phrases([]) == ({"Delivery": [], "Price": []}, [])


texts = st.text(st.sampled_from("ab ,.\u200b\x00é漢@/:'-1 "), max_size=40) | st.text(max_size=30)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(texts, st.integers(0, 5), st.sampled_from(["", "Delivery", "Price"])), max_size=30))
def test_no_text_breaks_it(said: list[tuple[str, int, str]]) -> None:
    by_topic, without = phrases([spoken(text, voice, *filter(None, [topic])) for text, voice, topic in said])
    assert set(by_topic) == {"Delivery", "Price"}
    assert len(without) <= SHOWN_WITHOUT


def test_phrases_that_say_the_same_in_two_topics_clash() -> None:
    taxonomy = (
        Topic("A", ("late parcel", "parcel late", "a lost letter")),
        Topic("B", ("the parcel is late", "money back")),
        Topic("C", ("parcel late",)),
    )
    found = clashes(Bag(taxonomy), taxonomy)
    assert {(one.one, one.other) for one in found if one.cosine > 0.99} == {
        (("A", "late parcel"), ("C", "parcel late")),
        (("A", "parcel late"), ("C", "parcel late")),
    }
    assert [one.cosine for one in found] == sorted((one.cosine for one in found), reverse=True)
    assert not any(one.one[0] == one.other[0] for one in found)


def test_one_topic_clashes_with_nothing() -> None:
    taxonomy = (Topic("A", ("late parcel", "parcel late")),)
    assert clashes(Bag(taxonomy), taxonomy) == []
