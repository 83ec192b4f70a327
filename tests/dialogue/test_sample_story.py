"""The sample's story is believable, deterministic and ends now."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.sample_story import DAYS, OUR_ID, PLATFORMS, tell

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_the_same_moment_tells_the_same_story() -> None:
    assert tell(NOW) == tell(NOW)


def test_there_are_at_least_600_mentions_over_four_platforms() -> None:
    theirs = [line for line in tell(NOW).lines if line.handle != OUR_ID]
    assert len(theirs) >= 600
    assert {line.platform for line in theirs} == set(PLATFORMS)
    assert min(Counter(line.platform for line in theirs).values()) >= 50


@settings(max_examples=10, deadline=None)
@given(st.integers(-1_000, 1_000), st.integers(0, 86_399))
def test_everything_lies_in_the_fortnight_that_ends_now(days: int, seconds: int) -> None:
    now = NOW + timedelta(days=days, seconds=seconds)
    for line in tell(now).lines:
        assert now - timedelta(days=DAYS) <= line.at <= now, line


def test_nobody_answers_before_they_were_asked() -> None:
    story = tell(NOW)
    begun = {line.key: line.at for line in story.lines}
    late = [line for line in story.lines if line.key != line.thread and line.at <= begun[line.thread]]
    assert late == []


def test_no_text_is_said_twice_by_others() -> None:
    theirs = [line.text for line in tell(NOW).lines if line.handle != OUR_ID]
    twice = [text for text, count in Counter(theirs).items() if count > 1]
    assert twice == []


def test_people_come_back_in_several_threads() -> None:
    threads: defaultdict[str, set[str]] = defaultdict(set)
    for line in tell(NOW).lines:
        threads[line.handle].add(line.thread)
    regulars = [handle for handle, of in threads.items() if len(of) >= 2 and handle != OUR_ID]
    assert len(regulars) >= 15


def test_one_stretch_stands_out() -> None:
    days = Counter(line.at.date() for line in tell(NOW).lines if line.handle != OUR_ID)
    usual = sorted(days.values())[len(days) // 2]
    assert max(days.values()) >= 1.6 * usual


def test_every_feedback_item_has_people_behind_it() -> None:
    story = tell(NOW)
    for idea in story.ideas:
        backed = {line.handle for line in story.lines if any(words in line.text for words in idea.match)}
        assert backed - {OUR_ID}, idea.title
