"""The summary says what the mentions say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from db import mentions, tags
from dialogue import inbox, measures
from dialogue.context import Actor, Context
from tests.conftest import NOON

PROBABILITIES = {"negative": (0.9, 0.05, 0.05), "neutral": (0.1, 0.8, 0.1), "positive": (0.05, 0.05, 0.9)}


class Talk:
    """Says things on given days, tagged as told."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.said = 0
        self.plan: dict[str, tuple[str, str, str]] = {}

    def says(
        self, count: int, sentiment: str, topic: str = "Delivery", *, days_ago: int = 0, intent: str = "other"
    ) -> list[str]:
        """`count` mentions by as many people; returns their ids."""
        at = NOON - timedelta(days=days_ago, hours=1)
        posts = []
        for _ in range(count):
            self.said += 1
            text = f"{sentiment} {topic} {self.said}"
            self.plan[text] = (sentiment, topic, intent)
            posts.append(
                mentions.NewMention("feed", f"p{self.said}", "post", text, at, f"a{self.said}", f"a{self.said}")
            )
        self._store(posts)
        return [post.external_id for post in posts]

    def answers(self, ids: Sequence[str], at: datetime) -> None:
        """We answer each of them."""
        self._store(
            [
                mentions.NewMention(
                    "feed", f"us-{id_}", "comment", "we", at, "us", "us", root_id=id_, parent_id=id_, ours=True
                )
                for id_ in ids
            ]
        )

    def _store(self, posts: Sequence[mentions.NewMention]) -> None:
        with self.ctx.database.transaction() as tx:
            mentions.upsert(tx, posts, now=NOON, digest=self.ctx.secrets.digest)
        with self.ctx.database.transaction() as tx:
            held = tags.claim(tx, NOON, timedelta(minutes=1), 1000)
        with self.ctx.database.transaction() as tx:
            tags.store(tx, [(one, self._tags(one.text)) for one in held], "UTC", NOON)

    def _tags(self, text: str) -> tags.TagValues:
        sentiment, topic, intent = self.plan[text]
        return tags.TagValues(
            "en", sentiment, *PROBABILITIES[sentiment], intent, 0.9, ((topic, 0.8),), b"", "test model"
        )


def test_nothing_collected_is_empty_and_says_so(ctx: Context, colleague: Actor) -> None:
    found = measures.summary(ctx, colleague)
    assert found.empty
    assert found.headline == "Nobody has spoken yet"
    assert found.by_day["count"].sum() == 0
    assert len(found.by_day) == 7 * 3


def test_the_headline_names_the_change_and_its_topic(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(20, "positive", "Price", days_ago=9)
    talk.says(20, "neutral", "Price", days_ago=9)
    talk.says(20, "positive", "Price", days_ago=2)
    talk.says(30, "negative", "Delivery", days_ago=1)
    found = measures.summary(ctx, colleague, days=7)
    assert found.headline == "People are angrier than last week, about delivery"
    assert found.day_finding.title == "Negative mentions came out of nowhere on Thursday, most about delivery"
    assert found.day_finding.filters.day == (date(2026, 11, 19), date(2026, 11, 19))
    assert found.topic_finding.title == "Delivery is 60 % of all talk, mostly bad"


def test_a_better_week_is_called_happier(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(30, "negative", "Delivery", days_ago=10)
    talk.says(30, "positive", "Returns", days_ago=1)
    assert measures.summary(ctx, colleague).headline == "People are happier than last week, about returns"


def test_a_day_far_above_the_usual_is_named(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    for days_ago in range(7):
        talk.says(5, "negative", "App", days_ago=days_ago)
    talk.says(10, "negative", "Delivery", days_ago=4)
    assert measures.summary(ctx, colleague).day_finding.title == (
        "Negative mentions tripled on Monday, most about delivery"
    )


def test_few_mentions_are_not_compared(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(8, "positive", days_ago=9)
    talk.says(8, "negative", days_ago=1)
    found = measures.summary(ctx, colleague)
    assert found.headline == "People are unhappy, about delivery"
    assert all(number.change == "" for number in found.numbers)


def test_of_a_handful_nothing_is_concluded(ctx: Context, colleague: Actor) -> None:
    Talk(ctx).says(1, "negative", days_ago=1)
    assert measures.summary(ctx, colleague).headline == "1 mention so far, too few to say how people feel"


def test_numbers_carry_their_change_and_whether_it_is_good(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(40, "neutral", days_ago=8)
    talk.says(30, "positive", days_ago=1)
    talk.says(10, "negative", days_ago=1)
    numbers = {number.label: number for number in measures.summary(ctx, colleague).numbers}
    assert (numbers["Mood"].value, numbers["Mood"].change, numbers["Mood"].good) == ("+50", "+50", True)
    assert (numbers["Mentions"].value, numbers["Mentions"].change) == ("40", "+0 %")
    assert (numbers["Negative"].value, numbers["Negative"].meaning) == ("10", "25 % of all mentions")
    assert numbers["Mood"].spark[-2] == 50.0


def test_only_questions_and_complaints_wait_for_an_answer(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    asked = talk.says(4, "neutral", days_ago=1, intent="question")
    talk.says(6, "positive", days_ago=1, intent="praise")
    talk.answers(asked[:3], NOON)
    answered = next(n for n in measures.summary(ctx, colleague).numbers if n.label == "Answered")
    assert answered.value == "75 %"


def test_what_we_wrote_ourselves_is_no_mention(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.answers(talk.says(2, "negative", days_ago=1), NOON)
    found = measures.summary(ctx, colleague)
    assert int(found.by_day["count"].sum()) == 2
    assert found.subline == "14\N{EN DASH}20 November: 2 mentions by 2 people on 1 platform."


def test_each_chart_leads_to_as_many_conversations_as_it_shows(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(5, "negative", "Delivery", days_ago=3)
    talk.says(4, "negative", "Price", days_ago=3)
    talk.says(12, "positive", "Price", days_ago=20)
    found = measures.summary(ctx, colleague)
    bar = found.by_topic.query("topic == 'Delivery' and sentiment == 'negative'")["count"].sum()
    shown = inbox.page(
        ctx, colleague, inbox.Filters(view="all", topics=("Delivery",), day=(found.first, found.last)), limit=50
    )
    assert len(shown.cards) == bar == 5


def test_a_silent_week_is_not_called_the_beginning(ctx: Context, colleague: Actor) -> None:
    Talk(ctx).says(30, "positive", days_ago=20)
    found = measures.summary(ctx, colleague)
    assert not found.empty
    assert found.headline == "Nobody spoke in the last 7 days"


def test_what_waits_for_the_model_is_not_silence(ctx: Context, colleague: Actor) -> None:
    with ctx.database.transaction() as tx:
        post = mentions.NewMention("feed", "p1", "post", "Hello", NOON, "a", "a")
        mentions.upsert(tx, [post], now=NOON, digest=ctx.secrets.digest)
    assert measures.summary(ctx, colleague).headline == "The model is still reading what people said"


def test_a_day_of_a_long_period_is_named_by_its_date(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(30, "negative", "Delivery", days_ago=20)
    found = measures.summary(ctx, colleague, days=30)
    assert found.day_finding.title == "Negative mentions came out of nowhere on 31 October, most about delivery"


def test_the_share_answered_leads_to_questions_and_complaints_alone(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(3, "neutral", days_ago=1, intent="question")
    talk.says(2, "positive", days_ago=1, intent="praise")
    found = measures.summary(ctx, colleague)
    answered = next(number for number in found.numbers if number.label == "Answered")
    for filters in (answered.filters, found.findings[-1].filters):
        assert len(inbox.page(ctx, colleague, filters).cards) == 3


def test_a_share_of_few_is_not_compared_either(ctx: Context, colleague: Actor) -> None:
    talk = Talk(ctx)
    talk.says(2, "neutral", days_ago=8, intent="question")
    talk.answers(talk.says(2, "neutral", days_ago=1, intent="question"), NOON)
    found = measures.summary(ctx, colleague)
    assert found.findings[-1].title == "100 % of questions and complaints were answered"
