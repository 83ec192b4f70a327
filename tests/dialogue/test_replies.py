"""A reply arrives once, or somebody is told why not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import mentions
from db.tables import PlatformAccount
from dialogue import checking, conversations, inbox, points, replies
from dialogue.context import DialogueError, Missing, NotAllowed, Role, Stale
from listeners.base import Health, Options, Post, Sent, Terminal
from tests.conftest import as_role
from tests.dialogue import wall
from tests.dialogue.conversing import World
from tests.dialogue.wall import FIND_LAG
from tests.worlds import add_source, digest, look, post, store

ROOT = Path(__file__).parents[2]
AFTER_UNDO = 9
"""Seconds; the time to undo is 8."""


# The way it should go -------------------------------------------------------------------------------------------------


def test_a_reply_leaves_after_the_time_to_undo_and_stands_in_its_thread_once(any_world: World) -> None:
    any_world.connects()
    conversation = any_world.says("p1")
    reply = any_world.sends(conversation, "  On its way.\n")

    assert reply.state == "queued"
    assert reply.undo_until == any_world.clock.now + timedelta(seconds=8)
    any_world.works()
    replies.deliver(any_world.ctx, reply.id)  # a trigger that came too early
    assert any_world.standing() == [], "it left although it could still be undone"

    any_world.works_later(seconds=AFTER_UNDO)
    any_world.works()
    assert any_world.standing() == ["On its way."]
    view = any_world.opens(conversation)
    assert (view.state, view.version, view.due_at) == ("waiting", 2, None)
    sent = [item for item in view.items if item.ours]
    assert [(item.text, item.state, item.handle, item.url) for item in sent] == [
        ("On its way.", "sent", "@us", "https://wall.example/w1")
    ]


def test_our_answer_is_shown_once_when_the_listener_collects_it_too(any_world: World) -> None:
    any_world.connects()
    conversation = any_world.says("p1")
    any_world.sends(conversation)
    any_world.works_later(seconds=AFTER_UNDO)
    version = any_world.opens(conversation).version

    any_world.says("w1", "On its way.", author_id="us", author_handle="@us", parent_id="p1", root_id="p1")

    view = any_world.opens(conversation)
    assert [item.text for item in view.items] == ["Where is my parcel?", "On its way."]
    assert (view.version, view.state) == (version, "waiting"), "our own answer must not make the conversation new"


def test_a_double_click_sends_one_reply(any_world: World) -> None:
    any_world.connects()
    conversation = any_world.says("p1")
    view = any_world.opens(conversation)
    key, mention = view.composer.draft_key, view.composer.answering_mention_id
    first, second = (
        replies.send(any_world.ctx, any_world.bo, conversation, mention, "Hello", key, view.version) for _ in range(2)
    )
    assert first.id == second.id

    any_world.clock.forward(seconds=AFTER_UNDO)
    for _ in range(3):
        replies.deliver(any_world.ctx, first.id)
    assert any_world.standing() == ["Hello"]


def test_two_tabs_have_one_composer(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    one, other = world.opens(conversation), world.opens(conversation)
    assert one.composer.draft_key == other.composer.draft_key
    world.sends(conversation, "From the first tab")

    with pytest.raises(Stale, match="another window"):
        replies.send(
            world.ctx,
            world.bo,
            conversation,
            other.composer.answering_mention_id,
            "From the second",
            other.composer.draft_key,
            other.version,
        )
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == ["From the first tab"]
    assert world.opens(conversation).composer.draft_key != one.composer.draft_key, "a second answer could not be sent"


def test_what_an_answer_begins_with_is_seen_in_the_empty_draft(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    naming = replace(wall.CAPABILITY, opening=lambda post: f"@{post.author.handle if post.author else ''} ")
    monkeypatch.setattr(wall, "CAPABILITY", naming)
    world.connects()
    conversation = world.says("p1", author_id="jane", author_handle="jane")
    composer = world.opens(conversation).composer
    assert composer.draft_text == "@jane "
    replies.save_draft(
        world.ctx, world.bo, conversation, composer.answering_mention_id, "Without a name", composer.draft_key
    )
    assert world.opens(conversation).composer.draft_text == "Without a name", "what a person took out stays out"
    world.sends(conversation, "Without a name")
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == ["Without a name"], "an answer is posted as it was written"


class LongerHere(wall.WallListener):
    """As an instance that lets its people write more than others do."""

    def __init__(self, base_url: str, token: str, longest: int) -> None:
        super().__init__(base_url, token)
        self.capability = replace(wall.CAPABILITY, max_chars=longest)

    def check(self) -> Health:
        return replace(super().check(), limits={"longest": 300})


def test_an_answer_may_be_as_long_as_the_account_s_check_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(account: Mapping[str, str], options: Options) -> LongerHere:
        return LongerHere(options.base_url or "", account.get("token", ""), options.limits.get("longest", 100))

    monkeypatch.setattr(wall, "open", longer)
    account_id = world.connects()
    conversation = world.says("p1")
    assert world.opens(conversation).composer.max_chars == 100
    with pytest.raises(DialogueError, match="takes 100"):
        world.sends(conversation, "x" * 250)
    checking.check(world.ctx, account_id)
    assert world.opens(conversation).composer.max_chars == 300
    assert conversations.count(world.ctx, conversation, "x" * 250) == (250, 300)
    world.sends(conversation, "x" * 250)
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == ["x" * 250]


class OneAnswerEach(wall.WallListener):
    """As a store that keeps one answer to each review."""

    def answer_anew(self, post: Post, text: str, key: str, ours: Collection[str]) -> Sent:
        standing = [one["text"] for one in self.http.get("/answers", params={"under": post.external_id}).json()]
        if standing and standing[-1] not in ours:
            raise Terminal("Somebody else's answer stands there.", "Look at it.")
        return self.answer(post, text, key)


@pytest.fixture
def store_of_reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        wall, "open", lambda account, options: OneAnswerEach(options.base_url or "", account.get("token", ""))
    )


@pytest.mark.usefixtures("store_of_reviews")
def test_an_edited_review_is_answered_anew_over_our_own_answer(world: World) -> None:
    world.connects()
    conversation = world.says("p1", "It leaks.", kind="review")
    world.sends(conversation, "We look into it.")
    world.works_later(seconds=AFTER_UNDO)
    (review, _) = world.opens(conversation).items
    assert not review.outdated

    world.clock.forward(hours=1)
    world.says("p1", "It still leaks.", kind="review", edited_at=world.clock.now)
    (review, answer) = world.opens(conversation).items
    assert review.outdated, "the answer was given to other words"
    assert world.opens(conversation).state == "open"

    reply = world.sends(conversation, "It is mended.")
    world.works_later(seconds=AFTER_UNDO)
    assert world.state(reply) == "sent"
    assert world.standing() == ["We look into it.", "It is mended."]
    assert not world.opens(conversation).items[0].outdated


@pytest.mark.usefixtures("store_of_reviews")
def test_an_answer_that_somebody_gave_there_is_not_replaced(world: World) -> None:
    world.connects()
    conversation = world.says("p1", "It leaks.", kind="review")
    world.sends(conversation, "We look into it.")
    world.works_later(seconds=AFTER_UNDO)
    world.wall.takes("p1", "A colleague's words")
    reply = world.sends(conversation, "It is mended.")
    world.works_later(seconds=AFTER_UNDO)
    assert world.state(reply) == "hand_off"
    assert world.standing() == ["We look into it.", "A colleague's words"]


def test_an_edit_before_our_answer_outdates_nothing(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    world.says("p1", "Where is my parcel, please?", edited_at=world.clock.now)
    world.clock.forward(minutes=5)
    world.sends(conversation)
    world.works_later(seconds=AFTER_UNDO)
    (question, _) = world.opens(conversation).items
    assert question.edited
    assert not question.outdated


def test_an_answer_given_there_is_outdated_too(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    world.says("w1", "On its way.", root_id="p1", parent_id="p1", author_id="us", author_handle="@us")
    world.clock.forward(minutes=5)
    world.says("p1", "Where is my other parcel?", edited_at=world.clock.now)
    question = next(item for item in world.opens(conversation).items if not item.ours)
    assert question.outdated


def test_who_will_see_an_answer_is_said_beside_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.connects()
    conversation = world.says("p1", "secret")
    assert world.opens(conversation).composer.place_words == "in their thread on The Wall, in public"
    closed = replace(wall.CAPABILITY, seen_by=lambda post: "seen by them alone" if "secret" in post.text else "")
    monkeypatch.setattr(wall, "CAPABILITY", closed)
    assert world.opens(conversation).composer.place_words == "in their thread on The Wall, seen by them alone"


def test_a_draft_is_kept_and_sent_with_its_key(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    composer = world.opens(conversation).composer
    mention = composer.answering_mention_id
    replies.save_draft(world.ctx, world.bo, conversation, mention, "Hal", composer.draft_key)
    replies.save_draft(world.ctx, world.bo, conversation, mention, "Half a sente", composer.draft_key)

    again = world.opens(conversation).composer
    assert (again.draft_text, again.draft_key) == ("Half a sente", composer.draft_key)
    assert world.opens(conversation, world.colleague("cy", Role.RESPONDER)).composer.draft_text == ""
    assert [item.kind for item in world.opens(conversation).items] == ["mention"], "a draft is no part of the thread"

    reply = world.sends(conversation, "Half a sentence more.")
    assert look(world.ctx, "SELECT id, text FROM replies") == [(reply.id, "Half a sentence more.")]
    with pytest.raises(Stale):
        replies.save_draft(world.ctx, world.bo, conversation, mention, "too late", composer.draft_key)


def test_a_draft_through_the_api_waits_for_a_person(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    robot = world.colleague("robot", Role.RESPONDER)
    draft = replies.save_draft(world.ctx, robot, conversation, None, "Suggested", "api-1", made_by="api")
    world.works_later(hours=1)
    assert world.standing() == []

    composer = world.opens(conversation).composer
    assert (composer.draft_text, composer.draft_key) == ("Suggested", "api-1")
    assert world.sends(conversation, "Suggested").id == draft.id
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == ["Suggested"]


# Nothing stale, nothing too long, nothing without a right -------------------------------------------------------------


def test_a_reply_written_before_somebody_spoke_is_refused(any_world: World) -> None:
    any_world.connects()
    conversation = any_world.says("p1")
    view = any_world.opens(conversation)
    any_world.says("p2", "It has just arrived!", parent_id="p1", root_id="p1")

    with pytest.raises(Stale):
        replies.send(any_world.ctx, any_world.bo, conversation, None, "Sorry", view.composer.draft_key, view.version)
    assert replies.status(any_world.ctx, conversation) == ()


def test_a_queued_reply_comes_back_when_somebody_speaks_before_it_leaves(any_world: World) -> None:
    any_world.connects()
    conversation = any_world.says("p1")
    reply = any_world.sends(conversation, "Sorry for the wait")
    any_world.says("p2", "It has just arrived!", parent_id="p1", root_id="p1")

    any_world.works_later(seconds=AFTER_UNDO)

    assert any_world.standing() == []
    assert any_world.state(reply) == "draft"
    composer = any_world.opens(conversation).composer
    assert composer.draft_text == "Sorry for the wait"
    assert "Somebody spoke" in composer.draft_note


def test_a_colleagues_answer_makes_another_queued_one_stale(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    world.sends(conversation, "Bo answers")
    world.clock.forward(seconds=1)
    second = world.sends(conversation, "Cy answers", world.colleague("cy", Role.RESPONDER))

    world.works_later(seconds=AFTER_UNDO)

    assert world.standing() == ["Bo answers"]
    assert world.state(second) == "draft"


def test_a_queued_reply_can_be_undone(any_world: World) -> None:
    any_world.connects()
    conversation = any_world.says("p1")
    reply = any_world.sends(conversation, "Too hasty")
    assert replies.undo(any_world.ctx, any_world.bo, reply.id).state == "draft"

    any_world.works_later(minutes=5)
    assert any_world.standing() == []
    assert any_world.opens(conversation).composer.draft_text == "Too hasty"

    any_world.sends(conversation, "Better")
    any_world.works_later(seconds=AFTER_UNDO)
    assert any_world.standing() == ["Better"]
    with pytest.raises(Stale, match="Sent"):
        replies.undo(any_world.ctx, any_world.bo, reply.id)


@pytest.mark.parametrize(("text", "words"), [("", "empty"), (" \n\t ", "empty"), ("x" * 101, "1 letters too long")])
def test_what_the_platform_would_not_take_is_refused_at_once(world: World, text: str, words: str) -> None:
    world.connects()
    conversation = world.says("p1")
    with pytest.raises(DialogueError, match=words):
        world.sends(conversation, text)
    assert replies.status(world.ctx, conversation) == ()


def test_the_preview_is_what_arrives(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    typed = "  Hello\x00 Jane\r\n\ud800👋 \n"
    assert conversations.count(world.ctx, conversation, typed) == (len("Hello Jane\n👋"), 100)
    shown = conversations.preview(world.ctx, conversation, typed)
    world.sends(conversation, typed)
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == [shown] == ["Hello Jane\n👋"]


def test_only_a_responder_sends_and_only_an_approver_approves(world: World) -> None:
    world.connects()
    conversation = world.says("p1")
    for role in (Role.VIEWER, Role.PRODUCT):
        with pytest.raises(NotAllowed):
            world.sends(conversation, actor=as_role(world.bo, role))
    with pytest.raises(NotAllowed):
        replies.approve(world.ctx, world.bo, 1)
    with pytest.raises(Missing):
        replies.undo(world.ctx, world.bo, 4711)


@pytest.mark.parametrize("key", ["", "x" * 201, "\x00", "\ud800", "a\nb"])
def test_a_key_that_no_database_keeps_is_refused(world: World, key: str) -> None:
    conversation = world.says("p1")
    with pytest.raises(DialogueError, match="key of 1 to 200"):
        replies.save_draft(world.ctx, world.bo, conversation, None, "Hello", key)
    with pytest.raises(DialogueError, match="key of 1 to 200"):
        replies.send(world.ctx, world.bo, conversation, None, "Hello", key, 1)
    assert look(world.ctx, "SELECT count(*) FROM replies") == [(0,)]


def test_every_change_that_a_person_makes_is_audited(world: World) -> None:
    world.connects()
    reply = world.sends(world.says("p1"))
    replies.undo(world.ctx, world.bo, reply.id)
    replies.discard(world.ctx, world.bo, reply.id)
    trail = look(world.ctx, "SELECT action, subject, subject_id, user_id FROM audit ORDER BY id")
    assert trail == [(action, "reply", str(reply.id), world.bo.user_id) for action in ("sent", "undid", "discarded")]


# Approval -------------------------------------------------------------------------------------------------------------


def test_what_a_responder_writes_waits_for_an_approver_where_the_rules_say_so(world: World) -> None:
    world.connects()
    world.sets(approval="always")
    conversation = world.says("p1")
    ann = world.colleague("ann", Role.APPROVER)
    assert world.opens(conversation).composer.approval_needed
    assert not world.opens(conversation, ann).composer.approval_needed

    reply = world.sends(conversation)
    world.works_later(hours=1)
    assert (reply.state, world.standing()) == ("awaiting_approval", [])
    assert [one.id for one in replies.awaiting(world.ctx, ann)] == [reply.id]

    assert replies.approve(world.ctx, ann, reply.id).state == "queued"
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == ["On its way."]


def test_an_approver_gives_a_reply_back_with_the_reason(world: World) -> None:
    world.connects()
    world.sets(approval="always")
    conversation = world.says("p1")
    reply = world.sends(conversation)
    replies.reject(world.ctx, world.colleague("ann", Role.APPROVER), reply.id, "Too curt")
    assert world.opens(conversation).composer.draft_note == "Ann gave this back: Too curt"


def test_approving_what_is_stale_makes_it_a_draft(world: World) -> None:
    world.connects()
    world.sets(approval="always")
    conversation = world.says("p1")
    reply = world.sends(conversation)
    world.says("p2", "Never mind", parent_id="p1", root_id="p1")
    assert replies.approve(world.ctx, world.colleague("ann", Role.APPROVER), reply.id).state == "draft"
    world.works_later(minutes=5)
    assert world.standing() == []


# What cannot be sent from here ----------------------------------------------------------------------------------------


def test_without_an_account_the_composer_says_so_and_the_reply_is_a_hand_off(world: World) -> None:
    conversation = world.says("p1")
    composer = world.opens(conversation).composer
    assert (composer.can_answer, composer.how, composer.reason) == (
        False,
        "hand_off",
        "Connect an account to answer from here.",
    )
    card = inbox.page(world.ctx, world.bo, inbox.Filters()).cards[0]
    assert (card.answerable, card.answer_note) == (False, composer.reason)

    reply = world.sends(conversation, "By hand then")
    assert (reply.state, reply.mention_url) == ("hand_off", "https://wall.example/p1")
    done = replies.mark_handed_off(world.ctx, world.bo, reply.id, "https://wall.example/by-hand")
    assert (done.state, done.url) == ("handed_off", "https://wall.example/by-hand")
    assert world.opens(conversation).state == "waiting"
    with pytest.raises(DialogueError, match="http"):
        replies.mark_handed_off(world.ctx, world.bo, reply.id, "javascript:alert(1)")


@pytest.mark.parametrize("address", [None, "https://wall.example/w7"])
def test_an_answer_posted_by_hand_is_shown_once_when_it_is_collected_too(world: World, address: str | None) -> None:
    world.connects()
    conversation = world.says("p1", "A locked thread")
    for _ in range(2):
        reply = world.sends(conversation, "By hand\nthen")
        replies.mark_handed_off(world.ctx, world.bo, reply.id, address)
    words = "Otherwise said" if address else "By hand  then"
    ours = {"author_id": "us", "author_handle": "@us", "parent_id": "p1", "root_id": "p1"}
    world.says("w7", words, posted_at=world.clock.now, **ours)
    shown = [item for item in world.opens(conversation).items if item.ours]
    assert [(item.kind, item.state) for item in shown] == [("reply", "handed_off")] * 2
    world.says("w8", "By hand, once more", posted_at=world.clock.now, **ours)
    assert [item.kind for item in world.opens(conversation).items if item.ours].count("mention") == 1


def test_what_may_not_be_answered_says_why_before_anybody_types(world: World) -> None:
    world.connects()
    composer = world.opens(world.says("p1", "A locked thread")).composer
    assert (composer.how, composer.reason) == ("hand_off", "This thread is locked.")


def test_an_account_of_the_source_that_brought_it_answers(world: World) -> None:
    world.connects()
    second = world.connects()
    source = add_source(world.ctx, platform="wall", account_id=second)
    values = {"platform": "wall", "author_id": "jane", "author_handle": "@jane"}
    store(world.ctx, post("p1", **values), source_id=source)
    conversation = int(look(world.ctx, "SELECT id FROM conversations")[0][0])
    assert world.opens(conversation).composer.account_id == second


def test_a_refusal_of_this_answer_becomes_a_hand_off(world: World) -> None:
    world.connects()
    world.wall.refuses()
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    shown = replies.get(world.ctx, reply.id)
    assert (shown.state, shown.what_to_do) == ("hand_off", replies.BY_HAND)
    assert "does not allow" in shown.words
    world.works_later(hours=1)
    assert world.wall.asked.count("POST /answers") == 1


def test_a_refusal_of_the_account_fails_and_can_be_tried_again(world: World) -> None:
    world.connects()
    world.wall.refuses(account_works=False)
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    shown = replies.get(world.ctx, reply.id)
    assert (shown.state, shown.what_to_do) == ("failed", "Look into the account.")

    world.wall.accepts()
    assert replies.retry(world.ctx, world.bo, reply.id).state == "queued"
    world.works_later(seconds=AFTER_UNDO)
    assert (world.state(reply), world.standing()) == ("sent", ["On its way."])


def test_a_failed_reply_can_be_handed_off_or_thrown_away(world: World) -> None:
    world.connects()
    world.wall.refuses(account_works=False)
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    assert replies.hand_off(world.ctx, world.bo, reply.id).what_to_do == replies.BY_HAND
    assert replies.discard(world.ctx, world.bo, reply.id).state == "discarded"
    assert replies.status(world.ctx, reply.conversation_id) == ()


def test_an_account_that_is_gone_when_the_reply_leaves_fails_in_words(world: World) -> None:
    account = world.connects()
    reply = world.sends(world.says("p1"))
    with world.ctx.database.transaction() as tx:
        tx.session.delete(tx.session.get(PlatformAccount, account))
    world.works_later(seconds=AFTER_UNDO)
    shown = replies.get(world.ctx, reply.id)
    assert (shown.state, shown.what_to_do) == ("failed", "Connect an account to answer from here.")


# A platform that is ill -----------------------------------------------------------------------------------------------


def test_a_platform_that_is_down_is_asked_again_when_it_wishes(any_world: World) -> None:
    any_world.connects()
    any_world.wall.goes_down()
    reply = any_world.sends(any_world.says("p1"))
    any_world.works_later(seconds=AFTER_UNDO)
    assert any_world.state(reply) == "queued"

    any_world.wall.accepts()
    any_world.works_later(seconds=89)
    assert any_world.standing() == [], "it was asked before its Retry-After was over"
    any_world.works_later(seconds=2)
    assert (any_world.state(reply), any_world.standing()) == ("sent", ["On its way."])


def test_it_is_not_asked_for_ever(world: World) -> None:
    world.connects()
    world.wall.goes_down()
    reply = world.sends(world.says("p1"))
    for _ in range(replies.MAX_TRIES + 3):
        world.works_later(minutes=10)
    assert world.wall.asked.count("POST /answers") == replies.MAX_TRIES
    shown = replies.get(world.ctx, reply.id)
    assert shown.state == "failed"
    assert "tried 6 times" in shown.words


def test_an_answer_that_arrived_although_the_connection_broke_is_found_and_never_sent_again(any_world: World) -> None:
    any_world.connects()
    any_world.wall.accepts_then_dies()
    reply = any_world.sends(any_world.says("p1"))
    any_world.works_later(seconds=AFTER_UNDO)
    assert any_world.state(reply) == "unknown"
    any_world.wall.accepts()

    any_world.works_later(seconds=FIND_LAG.total_seconds() - 1)
    assert any_world.state(reply) == "unknown", "it was looked for before the platform could know"
    any_world.works_later(seconds=2)

    shown = replies.get(any_world.ctx, reply.id)
    assert (shown.state, shown.url) == ("sent", "https://wall.example/w1")
    assert any_world.standing() == ["On its way."]


def test_an_answer_proven_absent_is_sent_again(any_world: World) -> None:
    any_world.connects()
    any_world.wall.dies()
    reply = any_world.sends(any_world.says("p1"))
    any_world.works_later(seconds=AFTER_UNDO)
    assert any_world.state(reply) == "unknown"

    any_world.wall.accepts()
    any_world.works_later(seconds=FIND_LAG.total_seconds() + 1)
    any_world.works()
    assert (any_world.state(reply), any_world.standing()) == ("sent", ["On its way."])
    keys = {one.key for one in any_world.wall.answers}
    assert len(keys) == 1 and len(keys.pop()) == 64


def test_an_answer_proven_absent_is_not_sent_when_somebody_spoke_meanwhile(world: World) -> None:
    world.connects()
    world.wall.dies()
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    world.says("p2", "Found it!", parent_id="p1", root_id="p1")
    world.wall.accepts()
    world.works_later(minutes=3)
    world.works()
    assert (world.state(reply), world.standing()) == ("draft", [])


def test_what_cannot_be_told_asks_a_person(world: World) -> None:
    world.connects()
    world.wall.accepts_then_dies()
    world.wall.hides_answers()
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    world.works_later(minutes=3)
    shown = replies.get(world.ctx, reply.id)
    assert (shown.state, shown.what_to_do) == ("unknown", replies.LOOKED)

    world.wall.accepts()
    for _ in range(5):
        world.works_later(hours=5)
    assert world.standing() == ["On its way."], "it was sent again without proof"
    assert world.state(reply) == "unknown"

    assert replies.resolve_unknown(world.ctx, world.bo, reply.id, sent=True).state == "sent"
    assert world.opens(reply.conversation_id).state == "waiting"


def test_a_person_who_finds_nothing_may_send_it_again(world: World) -> None:
    world.connects()
    world.wall.dies()
    world.wall.hides_answers()
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    world.works_later(minutes=3)
    assert replies.resolve_unknown(world.ctx, world.bo, reply.id, sent=False).state == "failed"
    world.works_later(hours=1)
    assert world.standing() == []

    world.wall.accepts()
    replies.retry(world.ctx, world.bo, reply.id)
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == ["On its way."]


def test_a_platform_that_stays_down_while_we_look_asks_a_person_in_the_end(world: World) -> None:
    world.connects()
    world.wall.accepts_then_dies()
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    world.wall.goes_down()
    for _ in range(replies.MAX_LOOKS + 3):
        world.works_later(minutes=10)
    assert replies.get(world.ctx, reply.id).what_to_do == replies.LOOKED
    assert sum(line.startswith("GET /answers") for line in world.wall.asked) == replies.MAX_LOOKS


def test_another_answer_with_the_same_text_is_no_proof(world: World) -> None:
    world.connects()
    first = world.sends(world.says("p1"), "Thank you!")
    world.works_later(seconds=AFTER_UNDO)
    world.wall.dies()
    second = world.sends(first.conversation_id, "Thank you!")
    world.works_later(seconds=AFTER_UNDO)
    world.wall.accepts()
    world.works_later(minutes=3)
    shown = replies.get(world.ctx, second.id)
    assert (shown.state, shown.what_to_do) == ("unknown", replies.LOOKED)
    assert world.standing() == ["Thank you!"]


def test_an_error_that_nobody_foresaw_makes_it_unknown(world: World) -> None:
    world.connects()
    reply = world.sends(world.says("p1"), "crash please")
    world.works_later(seconds=AFTER_UNDO)
    assert world.state(reply) == "unknown"
    assert "RuntimeError" in replies.get(world.ctx, reply.id).words


# A worker that dies ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands in for a kill: nothing of the worker's catches it."""


def test_a_lease_that_runs_out_makes_a_reply_unknown_and_never_queued(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_world.connects()
    reply = any_world.sends(any_world.says("p1"))
    any_world.clock.forward(seconds=AFTER_UNDO)
    _kill_at(monkeypatch, "deliver.attempt_written")
    with pytest.raises(Killed):
        replies.deliver(any_world.ctx, reply.id)
    monkeypatch.undo()

    any_world.works_later(seconds=replies.LEASE.total_seconds() - 1)
    assert any_world.state(reply) == "sending"
    any_world.works_later(seconds=2)
    assert any_world.state(reply) == "unknown"
    assert any_world.standing() == []
    any_world.works_later(minutes=3)
    any_world.works()
    assert any_world.standing() == ["On its way."]


def test_a_worker_that_was_thought_dead_still_says_that_it_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.connects()
    reply = world.sends(world.says("p1"))
    world.clock.forward(seconds=AFTER_UNDO)

    def fall_asleep(name: str) -> None:
        if name == "deliver.sent_not_recorded":
            world.clock.forward(seconds=replies.LEASE.total_seconds() + 1)
            assert replies.sweep(world.ctx) == []
            assert world.state(reply) == "unknown"

    monkeypatch.setattr(points, "reached", fall_asleep)
    replies.deliver(world.ctx, reply.id)
    assert world.state(reply) == "sent"
    monkeypatch.undo()
    world.works_later(hours=1)
    assert world.standing() == ["On its way."]


def test_what_a_person_decided_is_not_undone_by_a_worker_that_still_looks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connects()
    world.wall.dies()
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    world.wall.accepts()
    world.clock.forward(minutes=3)

    def decide(name: str) -> None:
        if name == "deliver.found_not_recorded":
            replies.resolve_unknown(world.ctx, world.bo, reply.id, sent=True)

    monkeypatch.setattr(points, "reached", decide)
    replies.deliver(world.ctx, reply.id)
    assert world.state(reply) == "sent", "the worker found it absent and queued it again over a person's word"
    monkeypatch.undo()
    world.works_later(hours=1)
    assert world.standing() == []


def test_a_worker_that_lost_its_lease_cannot_have_a_reply_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connects()
    world.wall.dies()
    reply = world.sends(world.says("p1"))
    world.works_later(seconds=AFTER_UNDO)
    world.clock.forward(minutes=3)

    def fall_asleep_while_another_works(name: str) -> None:
        if name == "deliver.found_not_recorded":
            monkeypatch.undo()
            world.wall.accepts_then_dies()
            world.works_later(seconds=replies.LEASE.total_seconds() + 1)  # the other finds it absent, too
            world.works()  # and sends it
            assert (world.state(reply), world.standing()) == ("unknown", ["On its way."])

    monkeypatch.setattr(points, "reached", fall_asleep_while_another_works)
    replies.deliver(world.ctx, reply.id)  # wakes up and still believes that it is absent
    world.wall.accepts()
    for _ in range(3):
        world.works_later(minutes=3)
    assert (world.state(reply), world.standing()) == ("sent", ["On its way."])


POINTS = ("deliver.claimed", "deliver.attempt_written", "deliver.sent_not_recorded", "deliver.recorded")


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_for_real_leaves_one_answer(any_world: World, any_url: str, point: str) -> None:
    any_world.connects()
    reply = any_world.sends(any_world.says("p1"))
    any_world.clock.forward(seconds=AFTER_UNDO)
    worker = _worker(any_world, any_url, [reply.id], SAMTAL_CHAOS_POINT=point)
    _go(worker)
    assert worker.wait(30) == -signal.SIGKILL, worker.communicate()
    arrived = point in ("deliver.sent_not_recorded", "deliver.recorded")
    assert any_world.standing() == ["On its way."] * arrived

    for _ in range(4):
        any_world.works_later(minutes=3)
    assert (any_world.state(reply), any_world.standing()) == ("sent", ["On its way."])


def test_two_workers_send_each_reply_once(any_world: World, any_url: str) -> None:
    any_world.connects()
    sent = [any_world.sends(any_world.says(f"p{number}"), f"Answer {number}") for number in range(12)]
    any_world.clock.forward(seconds=AFTER_UNDO)
    ids = [one.id for one in sent]
    workers = [_worker(any_world, any_url, ids) for _ in range(2)]
    for worker in workers:
        _go(worker)
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert sorted(any_world.standing()) == sorted(f"Answer {number}" for number in range(12))
    assert {any_world.state(one) for one in sent} == {"sent"}


BEHAVIOURS = ("accepts", "accepts_then_dies", "dies", "goes_down")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(BEHAVIOURS), st.sampled_from((None, *POINTS))), max_size=6))
def test_whatever_the_platform_and_the_worker_go_through_it_arrives_once(
    world: World, steps: list[tuple[str, str | None]]
) -> None:
    if not look(world.ctx, "SELECT 1 FROM platform_accounts"):
        world.connects()
    number = len(look(world.ctx, "SELECT id FROM conversations"))
    text = f"Answer {number}"
    reply = world.sends(world.says(f"p{number}"), text)
    for behaviour, point in steps:
        getattr(world.wall, behaviour)()
        with pytest.MonkeyPatch.context() as patch:
            if point is not None:
                _kill_at(patch, point)
            try:
                world.works_later(minutes=4)
            except Killed:
                pass
        assert world.standing().count(text) <= 1

    world.wall.accepts()
    for _ in range(6):
        world.works_later(hours=2)
    assert (world.state(reply), world.standing().count(text)) == ("sent", 1)


def _kill_at(patch: pytest.MonkeyPatch, point: str) -> None:
    def reached(name: str) -> None:
        if name == point:
            raise Killed(name)

    patch.setattr(points, "reached", reached)


def _worker(world: World, url: str, ids: list[int], **environment: str) -> subprocess.Popen[str]:
    world.wall.now = world.clock.now
    path = os.pathsep.join([str(world.plugin), str(ROOT)])
    arguments = [url, world.clock.now.isoformat(), *map(str, ids)]
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.dialogue.deliverer", *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def _go(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


# Sample data ----------------------------------------------------------------------------------------------------------


def test_a_sample_is_answered_into_a_drawer_and_never_on_the_platform(world: World) -> None:
    world.connects()
    with world.ctx.database.transaction() as tx:
        sample = [post("s1", platform="wall", author_id="jane", author_handle="@jane")]
        mentions.upsert(tx, sample, now=world.ctx.clock(), digest=digest, sample=True)
    conversation = int(look(world.ctx, "SELECT id FROM conversations")[0][0])
    composer = world.opens(conversation).composer
    assert composer.can_answer and "never sent" in composer.reason

    reply = world.sends(conversation)
    world.works_later(seconds=AFTER_UNDO)
    shown = replies.get(world.ctx, reply.id)
    assert (shown.state, shown.sample, shown.words) == ("sent", True, "Kept here: sample data is never sent.")
    assert world.wall.asked == []
    assert world.opens(conversation).state == "waiting"


def test_an_answer_to_a_sample_whose_worker_was_lost_asks_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.ctx.database.transaction() as tx:
        sample = [post("s1", platform="wall", author_id="jane", author_handle="@jane")]
        mentions.upsert(tx, sample, now=world.ctx.clock(), digest=digest, sample=True)
    reply = world.sends(int(look(world.ctx, "SELECT id FROM conversations")[0][0]))
    world.clock.forward(seconds=AFTER_UNDO)
    _kill_at(monkeypatch, "deliver.attempt_written")
    with pytest.raises(Killed):
        replies.deliver(world.ctx, reply.id)
    monkeypatch.undo()
    world.works_later(seconds=replies.LEASE.total_seconds() + 1)
    world.works_later(minutes=5)
    assert replies.get(world.ctx, reply.id).words == "Kept here: sample data is never sent."
    assert world.wall.asked == []


# What is deleted at its source ----------------------------------------------------------------------------------------


def test_a_reply_to_what_was_deleted_meanwhile_does_not_leave(world: World) -> None:
    world.connects()
    reply = world.sends(world.says("p1"))
    with world.ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE conversations SET latest_mention_id = NULL")
        tx.connection.exec_driver_sql("DELETE FROM mentions")
    world.works_later(seconds=AFTER_UNDO)
    assert world.standing() == []
    assert world.state(reply) == "failed"
    assert world.opens(reply.conversation_id).composer.how == "none"
