"""Text that breaks programs is tagged like any other, in order, in time that grows no faster than the text."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis import Intent, IntentScore, Sentiment, SentimentScores, Tags
from analysis.__main__ import LONGEST_LINE, lines, tag
from analysis.bundled import Bundled
from analysis.encoder import DIMENSIONS
from analysis.language import LANGUAGES, language_of
from analysis.text import MAX_CHARACTERS, clean, mask, spell_emoji
from tests.hostile import HOSTILE

ROOT = Path(__file__).parents[2]
CATEGORIES: tuple[Any, ...] = (
    "Cc", "Cf", "Cn", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No", "Pc", "Pd", "Pe",
    "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs",
)  # fmt: skip
ANYTHING = st.one_of(
    st.sampled_from(CATEGORIES).flatmap(lambda one: st.text(st.characters(codec=None, categories=[one]), max_size=40)),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=80),
    st.lists(st.sampled_from([*(text[:60] for text in HOSTILE.values()), "late", " "]), max_size=6).map("".join),
)


def check(tags: Tags) -> None:
    """What holds of the tags of any text."""
    mood = tags.sentiment
    shares = (mood.negative, mood.neutral, mood.positive)
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert all(0 <= share <= 1 for share in shares)
    assert shares[list(Sentiment).index(mood.label)] == max(shares)
    assert 0 <= tags.intent.score <= 1
    assert all(0 <= topic.score <= 1 for topic in tags.topics)
    assert len(tags.embedding) in (0, 2 * DIMENSIONS)
    assert tags.language in {*LANGUAGES, "und"}


# Every text is tagged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", HOSTILE)
def test_alone(analyser: Bundled, what: str) -> None:
    (tags,) = analyser.tags([HOSTILE[what]])
    check(tags)


def test_together_in_any_order_each_once(analyser: Bundled) -> None:
    plain = [f"The {word} squeaks since Monday" for word in ("hinge", "door", "brake", "pedal", "chain")]
    texts = [*HOSTILE.values(), *plain] * 2
    random.Random(5).shuffle(texts)
    found = analyser.tags(texts)
    assert len(found) == len(texts)
    said: dict[str, Tags] = {}
    for text, tags in zip(texts, found, strict=True):
        check(tags)
        assert said.setdefault(text, tags) == tags, "the same text has the same tags within one call"
    assert len({said[text].embedding for text in plain}) == len(plain), "nobody else's"
    assert [said[text].language for text in plain] == ["en"] * len(plain)


def test_what_cannot_be_read_says_so(analyser: Bundled) -> None:
    for what in ("empty", "blanks", "only NUL"):
        (tags,) = analyser.tags([HOSTILE[what]])
        assert (tags.sentiment.label, tags.intent.label, tags.language) == (Sentiment.NEUTRAL, Intent.OTHER, "und")
        assert tags.embedding == b""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ANYTHING, max_size=8))
def test_whatever_anybody_can_type(analyser: Bundled, texts: list[str]) -> None:
    found = analyser.tags([*texts, *texts])
    assert found[: len(texts)] == found[len(texts) :]
    for tags in found:
        check(tags)


# What is read of a text -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(ANYTHING)
@example("\\ud83d\\ude21")
@example("&#0;&#xD800;\\ud800")
def test_cleaned_text_is_one_bounded_line_that_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert len(cleaned) <= MAX_CHARACTERS
    assert cleaned.splitlines() in ([], [cleaned])
    assert all(character.isprintable() or character in "\u200d\u200c\ufe0f" for character in cleaned)
    prepared = mask(cleaned)
    prepared.encode("utf-8")
    spell_emoji(prepared).encode("utf-8")
    assert language_of(prepared) in {*LANGUAGES, "und"}


@settings(deadline=None)
@given(ANYTHING)
def test_no_step_needs_the_one_before_it(text: str) -> None:
    assert isinstance(mask(text), str)
    assert isinstance(spell_emoji(text), str)
    assert language_of(text) in {*LANGUAGES, "und"}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_has_no_control_character_and_no_mask_stays_as_it_is(what: str) -> None:
    """Cleaning twice is cleaning once, unless it uncovered an entity or an escape that somebody had hidden."""
    once = clean(HOSTILE[what])
    assert clean(once) == once or "&" in once or "\\" in HOSTILE[what]


# Time grows with the text, and stops growing --------------------------------------------------------------------------

PARTS = [
    "a", " ", "@", "@a.", "@a@b", "u/", "/u/a-", "www.", "http://", "&", "&#", "&#x41;", "&amp", "\\u", "\\ud83d", "\\",
    "\x00", "\u202e", "\u200d", "\u0300", "😡", "👩\u200d", "🏿", "\ud800", "製", "a\u0300 ", "-.", "א", "[MASK]", "##",
]  # fmt: skip
FEW, TIMES, BOUND = 20_000, 8, 24


def cost(work: Callable[[], object]) -> float:
    """Processor seconds, the least of three: what others do on the machine only ever adds."""
    spent = []
    for _ in range(3):
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return min(spent)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("step", [clean, mask, spell_emoji, language_of], ids=lambda step: step.__name__)
def test_eight_times_the_text_costs_about_eight_times_as_much_at_most(step: Callable[[str], object], part: str) -> None:
    """Of work that grew with the square it would be 64 times as much."""
    text = part * (FEW // len(part))
    step(text)  # what is loaded at the first call costs it nothing
    few, many = cost(lambda: step(text)), cost(lambda: step(text * TIMES))
    assert many <= BOUND * max(few, 0.001), "a millisecond is too short to compare"


@pytest.mark.parametrize("part", ["a", "late ", "@a.", "😡", "👩\u200d", "\u0300", "製", "\u202e"])
def test_beyond_what_is_read_a_longer_text_costs_no_more(analyser: Bundled, part: str) -> None:
    text = part * (FEW // len(part))
    few, many = cost(lambda: analyser.tags([text])), cost(lambda: analyser.tags([text * TIMES]))
    assert many <= 3 * max(few, 0.01)
    assert analyser.tags([text]) == analyser.tags([text * TIMES])


def test_no_text_takes_much_longer_than_a_plain_one_of_its_length(analyser: Bundled) -> None:
    plain = cost(lambda: analyser.tags(["The hinge squeaks since Monday, and nobody answers. " * 40]))
    slowest = max(HOSTILE, key=lambda what: cost(lambda: analyser.tags([HOSTILE[what]])))
    assert cost(lambda: analyser.tags([HOSTILE[slowest]])) <= 5 * plain, slowest


# The command line -----------------------------------------------------------------------------------------------------


class Still:
    """Says the same of every text, so that what is tested is the reading and writing."""

    model = "still 1"

    def tags(self, texts: Sequence[str]) -> list[Tags]:
        mood = SentimentScores(Sentiment.NEUTRAL, 0.0, 1.0, 0.0)
        return [Tags("und", mood, IntentScore(Intent.OTHER, 1.0), (), b"", self.model) for _ in texts]


def tagged(given: bytes) -> bytes:
    target = BytesIO()
    tag(BytesIO(given), target, Still())
    return target.getvalue()


def expected(given: bytes) -> list[str]:
    """The texts of some lines, read in the plainest way."""
    parts = given.split(b"\n")
    whole = parts[:-1] if parts[-1] == b"" else parts
    return [part.rstrip(b"\r").decode("utf-8", "replace") for part in whole]


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xe2\x80\xa8", b"\xc2\x85", b"late",
     b"\xef\xbb\xbf", b"\x0b", b"\x1c", b'"', b"\\"]
)).map(b"".join)))  # fmt: skip
def test_a_line_in_is_a_line_out_whatever_its_bytes(given: bytes) -> None:
    answer = tagged(given)
    found = [json.loads(line)["text"] for line in answer.splitlines()]
    assert found == expected(given)
    assert answer.decode("utf-8").splitlines() == answer.decode("utf-8").split("\n")[:-1], "nor does a text end a line"


def test_a_line_without_end_costs_no_memory_beyond_its_beginning() -> None:
    (text,) = lines(BytesIO(b"y" * (5 * LONGEST_LINE) + b"\n"))
    assert text == "y" * LONGEST_LINE


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_last_line_may_or_may_not_end(end: bytes) -> None:
    assert [json.loads(line)["text"] for line in tagged(b"one\ntwo" + end).splitlines()] == ["one", "two"]


def test_the_program_reads_it_all_in_order() -> None:
    given = [
        b"best commuter I have owned", b"", b"\x00\x00", b"\xff\xfe bad \xc3", b"\xed\xa0\x80", b"with a CR\r",
        b"y" * 5_000_000, *(text.replace("\n", " ").encode("utf-8", "replace") for text in HOSTILE.values()),
        "\u2028 \x85 \u2029".encode(), b"Third parcel in a row that never arrived",
    ]  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-m", "analysis", "--threads", "1"],
        input=b"\n".join(given), capture_output=True, cwd=ROOT, check=False, timeout=110,
    )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (0, b"")
    found = [json.loads(line) for line in answer.stdout.decode("utf-8").splitlines()]
    assert [one["text"] for one in found] == [text[:LONGEST_LINE] for text in expected(b"\n".join(given))]
    assert (found[0]["sentiment"]["label"], found[-1]["topics"][0]["name"]) == ("positive", "Delivery")
