"""What a page of posts becomes: mentions, people, conversations, links, edits."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from db import forgetting
from db.mentions import NewMention, text_hash
from db.tables import PlatformAccount, Reply, User
from dialogue.context import Context
from tests.conftest import NOON, Clock
from tests.worlds import add_source, digest, look, post, rows, said, store, tag

CONVERSATION = "SELECT state, mention_count, version, latest_mention_id, sentiment FROM conversations ORDER BY id"


def _minutes_ago(minutes: float) -> datetime:
    return NOON - timedelta(minutes=minutes)


def _own_account(ctx: Context) -> None:
    with ctx.database.transaction() as tx:
        tx.session.add(
            PlatformAccount(
                platform="forum", label="Us", handle="@us", external_id="us", credentials=b"", created_at=ctx.clock()
            )
        )


def test_a_new_post_makes_a_person_a_conversation_and_a_link(any_ctx: Context) -> None:
    source = add_source(any_ctx)
    stored = store(any_ctx, post("1", followers := "Hello"), source_id=source)
    assert (stored.new, stored.edited, stored.seen) == (1, 0, 0)
    assert look(any_ctx, "SELECT display_name FROM people") == [("Björk",)]
    assert look(any_ctx, "SELECT handle, external_id FROM identities") == [("@bjork", "bjork")]
    assert look(any_ctx, "SELECT mention_id, source_id FROM mention_sources") == [(stored.new_ids[0], source)]
    assert look(any_ctx, CONVERSATION) == [("open", 1, 1, stored.new_ids[0], None)]
    assert look(any_ctx, "SELECT text FROM mentions") == [(followers,)]


def test_reading_again_changes_nothing_but_engagement(any_ctx: Context, clock: Clock) -> None:
    store(any_ctx, post("1", engagement={"likes": 1}))
    before = look(any_ctx, CONVERSATION)
    clock.forward(minutes=5)
    again = store(any_ctx, post("1", engagement={"likes": 7}))
    assert (again.new, again.edited, again.seen) == (0, 0, 1)
    assert look(any_ctx, CONVERSATION) == before
    with any_ctx.database.reading() as tx:
        (found,) = rows(tx, "SELECT engagement FROM mentions")
    assert "7" in str(found[0])


def test_what_comes_without_counts_and_an_address_takes_none_away(any_ctx: Context) -> None:
    there = post("1", engagement={"likes": 7}, url="https://forum.example/1")
    store(any_ctx, there, post("2", engagement={"likes": 1}))
    store(any_ctx, post("1", "It is mended", edited_at=NOON, mentions=("us",)), post("2", engagement={"likes": 2}))
    with any_ctx.database.reading() as tx:
        (first,), (second,) = rows(tx, "SELECT engagement FROM mentions ORDER BY id")
    assert "7" in str(first)
    assert "2" in str(second)
    assert look(any_ctx, "SELECT text, url FROM mentions WHERE external_id = '1'") == [
        ("It is mended", "https://forum.example/1")
    ]


def test_one_author_is_one_person_over_many_posts_and_pages(any_ctx: Context) -> None:
    store(any_ctx, post("1"), post("2"))
    store(any_ctx, post("3", author_name="Björk G.", author_handle="@bg"))
    assert look(any_ctx, "SELECT count(*) FROM people") == [(1,)]
    assert look(any_ctx, "SELECT handle, display_name FROM identities") == [("@bg", "Björk G.")]


def test_an_answer_before_its_root_ends_in_one_conversation(any_ctx: Context) -> None:
    store(any_ctx, post("answer", root_id="root", parent_id="root", posted_at=_minutes_ago(10)))
    store(any_ctx, post("root", posted_at=_minutes_ago(60)))
    ((state, count, version, latest, _),) = look(any_ctx, CONVERSATION)
    assert (state, count, version) == ("open", 2, 2)
    assert look(any_ctx, f"SELECT external_id FROM mentions WHERE id = {latest}") == [("answer",)]


def test_an_edit_keeps_what_was_said_before_and_asks_for_new_tags(any_ctx: Context) -> None:
    store(any_ctx, post("1", "It is bad"))
    tag(any_ctx, said("negative"))
    edited = store(any_ctx, post("1", "It is good", edited_at=NOON))
    assert edited.edited == 1
    assert look(any_ctx, "SELECT text FROM mention_edits") == [("It is bad",)]
    assert look(any_ctx, "SELECT text, tagged_at FROM mentions") == [("It is good", None)]
    assert look(any_ctx, "SELECT sentiment FROM effective_tags") == [("negative",)], "shown until new tags come"
    tag(any_ctx, said("positive"))
    assert look(any_ctx, "SELECT sentiment FROM conversations") == [("positive",)]


def test_an_older_version_from_a_cache_is_no_edit(any_ctx: Context) -> None:
    store(any_ctx, post("1", "second", edited_at=_minutes_ago(5)))
    assert store(any_ctx, post("1", "first", edited_at=_minutes_ago(9))).edited == 0
    assert look(any_ctx, "SELECT text FROM mentions") == [("second",)]


def test_the_date_of_a_first_version_tells_an_older_one_from_a_cache(any_ctx: Context) -> None:
    """A store dates the last change only: its first version's date is that of the review itself."""
    first = {"kind": "review", "posted_at": _minutes_ago(9), "edited_at": _minutes_ago(9)}
    store(any_ctx, post("1", "first", **first))
    assert store(any_ctx, post("1", "second", **first | {"edited_at": _minutes_ago(5)})).edited == 1
    assert store(any_ctx, post("1", "first", **first)).edited == 0
    assert look(any_ctx, "SELECT text FROM mentions") == [("second",)]


def test_stars_are_part_of_what_was_said(any_ctx: Context) -> None:
    store(any_ctx, post("1", "It leaks", kind="review", rating=1.0))
    assert store(any_ctx, post("1", "It leaks", kind="review", rating=4.0)).edited == 1
    assert look(any_ctx, "SELECT rating FROM mentions") == [(4.0,)]
    assert look(any_ctx, "SELECT version FROM conversations") == [(2,)]
    assert store(any_ctx, post("1", "It leaks", kind="review", rating=4.0)).edited == 0


def _answered_review(ctx: Context) -> None:
    _own_account(ctx)
    review = post("q", "It leaks", kind="review", posted_at=_minutes_ago(60))
    store(ctx, review, post("a", root_id="q", parent_id="q", author_id="us", posted_at=_minutes_ago(30)))
    assert look(ctx, "SELECT state, due_at FROM conversations") == [("waiting", None)]


def test_a_review_that_is_edited_after_our_answer_needs_another(any_ctx: Context) -> None:
    _answered_review(any_ctx)
    store(any_ctx, post("q", "It still leaks", kind="review", posted_at=_minutes_ago(60), edited_at=_minutes_ago(5)))
    ((state, due),) = look(any_ctx, "SELECT state, due_at FROM conversations")
    assert state == "open"
    assert due is not None


def test_a_review_needs_another_answer_also_when_ours_is_collected_with_its_edit(any_ctx: Context) -> None:
    _own_account(any_ctx)
    store(any_ctx, post("q", "It leaks", kind="review", posted_at=_minutes_ago(60)))
    store(
        any_ctx,
        post("q", "It still leaks", kind="review", posted_at=_minutes_ago(60), edited_at=_minutes_ago(5)),
        post("a", root_id="q", parent_id="q", author_id="us", posted_at=_minutes_ago(30)),
    )
    assert look(any_ctx, "SELECT state FROM conversations") == [("open",)]


def test_a_review_that_was_edited_before_our_answer_needs_none(any_ctx: Context) -> None:
    _answered_review(any_ctx)
    store(any_ctx, post("q", "It leaks!", kind="review", posted_at=_minutes_ago(60), edited_at=_minutes_ago(40)))
    assert look(any_ctx, "SELECT state FROM conversations") == [("waiting",)]


def test_a_post_that_is_edited_after_our_answer_opens_nothing(any_ctx: Context) -> None:
    """Its author can answer, and most edits mend a typing error."""
    _own_account(any_ctx)
    store(any_ctx, post("q", "It leks", posted_at=_minutes_ago(60)))
    store(any_ctx, post("a", root_id="q", parent_id="q", author_id="us", posted_at=_minutes_ago(30)))
    store(any_ctx, post("q", "It leaks", posted_at=_minutes_ago(60), edited_at=_minutes_ago(5)))
    assert look(any_ctx, "SELECT state FROM conversations") == [("waiting",)]


def test_an_edit_makes_a_reply_to_the_old_words_stale(any_ctx: Context) -> None:
    store(any_ctx, post("1", "Does it fit?"))
    store(any_ctx, post("1", "Does it fit at all?"))
    assert look(any_ctx, "SELECT version FROM conversations") == [(2,)]


def test_our_own_posts_count_nowhere_and_answer_the_thread(any_ctx: Context) -> None:
    _own_account(any_ctx)
    store(any_ctx, post("q", posted_at=_minutes_ago(30)))
    store(any_ctx, post("a", root_id="q", parent_id="q", author_id="us", posted_at=_minutes_ago(10)))
    ((state, count, version, latest, _),) = look(any_ctx, CONVERSATION)
    assert (state, count, version) == ("waiting", 1, 2)
    assert look(any_ctx, f"SELECT external_id FROM mentions WHERE id = {latest}") == [("q",)]
    assert look(any_ctx, "SELECT external_id FROM mentions WHERE ours") == [("a",)]
    assert look(any_ctx, "SELECT external_id FROM mentions WHERE tagged_at IS NULL") == [("q",)]


def test_a_question_collected_after_our_answer_to_it_is_answered(any_ctx: Context) -> None:
    _own_account(any_ctx)
    store(any_ctx, post("a", root_id="q", parent_id="q", author_id="us", posted_at=_minutes_ago(10)))
    store(any_ctx, post("q", posted_at=_minutes_ago(30)))
    assert look(any_ctx, "SELECT state, mention_count FROM conversations") == [("waiting", 1)]


def test_what_was_sent_from_here_does_not_raise_the_version_again(any_ctx: Context) -> None:
    _own_account(any_ctx)
    (mention_id,) = store(any_ctx, post("q")).new_ids
    with any_ctx.database.transaction() as tx:
        tx.session.add(
            Reply(
                conversation_id=1, mention_id=mention_id, draft_key="k", text="Yes", state="sent", sent_id="a",
                conversation_version=1, created_at=NOON, changed_at=NOON,
            )
        )  # fmt: skip
    store(any_ctx, post("a", root_id="q", parent_id="q", author_id="us", posted_at=_minutes_ago(1)))
    assert look(any_ctx, "SELECT version FROM conversations") == [(1,)]


def test_somebody_who_speaks_again_opens_the_conversation(any_ctx: Context, clock: Clock) -> None:
    store(any_ctx, post("1"))
    with any_ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE conversations SET state = 'closed', due_at = NULL")
    store(any_ctx, post("2", root_id="1", posted_at=_minutes_ago(1)))
    with any_ctx.database.reading() as tx:
        (found,) = rows(tx, "SELECT state, due_at IS NOT NULL FROM conversations")
    assert found[0] == "open"
    assert found[1]


def test_what_was_said_long_ago_reopens_nothing_and_is_not_due(any_ctx: Context) -> None:
    long_ago = NOON - timedelta(days=30)
    store(any_ctx, post("old", posted_at=long_ago))
    assert look(any_ctx, "SELECT state, due_at FROM conversations") == [("open", None)]
    with any_ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE conversations SET state = 'closed'")
    store(any_ctx, post("older", root_id="old", posted_at=long_ago - timedelta(days=1)))
    assert look(any_ctx, "SELECT state FROM conversations") == [("closed",)]


def test_the_earliest_unanswered_mention_sets_the_due_time(any_ctx: Context) -> None:
    store(any_ctx, post("1", posted_at=_minutes_ago(60)))
    before = look(any_ctx, "SELECT due_at FROM conversations")
    store(any_ctx, post("2", root_id="1", posted_at=_minutes_ago(5)))
    assert look(any_ctx, "SELECT due_at FROM conversations") == before


def test_the_search_index_follows_every_change(any_ctx: Context) -> None:
    def hits(word: str) -> int:
        with any_ctx.database.reading() as tx:
            where = f"mention_search MATCH '{word}'" if tx.on_sqlite else f"document @@ to_tsquery('simple', '{word}')"
            ((count,),) = rows(tx, f"SELECT count(*) FROM mention_search WHERE {where}")
        return int(count)

    (id_,) = store(any_ctx, post("1", "The hinge squeaks", title="Door")).new_ids
    assert (hits("hinge"), hits("door")) == (1, 1)
    store(any_ctx, post("1", "The latch squeaks", title="Door"))
    assert (hits("hinge"), hits("latch")) == (0, 1)
    with any_ctx.database.transaction() as tx:
        forgetting.forget(tx, [id_], now=NOON, reason="deleted at source", digest=digest)
    assert (hits("latch"), hits("door")) == (0, 0)


def test_the_same_post_twice_on_a_page_is_one_mention(ctx: Context) -> None:
    assert store(ctx, post("1", "first"), post("1", "second")).new == 1


def test_the_same_text_has_the_same_hash_and_a_title_counts() -> None:
    assert text_hash(None, "a") == text_hash("", "a") != text_hash("a", "")


@given(st.text())
def test_any_text_has_a_hash(text: str) -> None:
    assert len(text_hash(None, text.encode("utf-8", "ignore").decode())) == 64


# Forgetting -----------------------------------------------------------------------------------------------------------


def _forget(ctx: Context, *ids: int) -> None:
    with ctx.database.transaction() as tx:
        forgetting.forget(tx, ids, now=ctx.clock(), reason="deleted at source", digest=digest)


def test_forgetting_leaves_no_trace_but_the_tombstone(any_ctx: Context) -> None:
    source = add_source(any_ctx)
    (id_,) = store(any_ctx, post("1", "My secret"), source_id=source).new_ids
    tag(any_ctx, said("negative", "complaint", "hinges"))
    store(any_ctx, post("1", "My other secret"))
    _forget(any_ctx, id_)
    for left in ("mentions", "mention_edits", "tags", "effective_tags", "mention_topics", "mention_sources",
                 "conversations", "identities", "people", "rollups"):  # fmt: skip
        assert look(any_ctx, f"SELECT count(*) FROM {left}") == [(0,)], left
    again = store(any_ctx, post("1", "My secret"), source_id=source)
    assert (again.new, again.buried) == (0, 1)


def test_the_conversation_goes_on_without_what_was_forgotten(any_ctx: Context) -> None:
    store(any_ctx, post("1", posted_at=_minutes_ago(60)))
    (id_,) = store(any_ctx, post("2", root_id="1", author_id="kari", author_handle="kari")).new_ids
    tag(any_ctx, said("positive"))
    _forget(any_ctx, id_)
    assert look(any_ctx, "SELECT mention_count, sentiment FROM conversations") == [(1, "positive")]
    assert look(any_ctx, "SELECT handle FROM identities") == [("@bjork",)]


def test_drafts_go_and_what_was_sent_stays(any_ctx: Context) -> None:
    (id_,) = store(any_ctx, post("1")).new_ids
    with any_ctx.database.transaction() as tx:
        for state in ("draft", "queued", "sent"):
            tx.session.add(
                Reply(
                    conversation_id=1, mention_id=id_, draft_key=state, text=state, state=state,
                    conversation_version=1, created_at=NOON, changed_at=NOON,
                )
            )  # fmt: skip
    _forget(any_ctx, id_)
    assert look(any_ctx, "SELECT state, mention_id FROM replies") == [("sent", None)]
    assert look(any_ctx, "SELECT state, latest_mention_id FROM conversations") == [("closed", None)]


def test_an_account_that_turns_out_to_be_ours_counts_no_more(any_ctx: Context) -> None:
    store(any_ctx, post("1"))
    tag(any_ctx, said("positive"))
    with any_ctx.database.transaction() as tx:
        forgetting.mark_ours(tx, "forum", "bjork", NOON)
    assert look(any_ctx, "SELECT count(*) FROM rollups") == [(0,)]
    assert look(any_ctx, "SELECT state, mention_count FROM conversations") == [("closed", 0)]


def test_what_an_account_answered_before_we_knew_it_as_ours_is_an_answer(any_ctx: Context) -> None:
    theirs, ours = post("1"), post("2", parent_id="1", root_id="1", author_id="us", posted_at=NOON)
    unasked = post("3", author_id="us", posted_at=NOON)
    store(any_ctx, theirs, ours, unasked)
    with any_ctx.database.transaction() as tx:
        forgetting.mark_ours(tx, "forum", "us", NOON)
    answered = "last_answered_at IS NOT NULL AND first_answered_at = last_answered_at"
    found = look(any_ctx, f"SELECT state, due_at IS NULL, {answered} FROM conversations ORDER BY id")
    assert [(state, bool(nothing_due), bool(is_answered)) for state, nothing_due, is_answered in found] == [
        ("waiting", True, True),
        ("closed", True, False),
    ]


def test_ids_are_not_given_twice(any_ctx: Context) -> None:
    (first,) = store(any_ctx, post("1")).new_ids
    _forget(any_ctx, first)
    (second,) = store(any_ctx, post("2")).new_ids
    assert second > first


def test_users_are_untouched(any_ctx: Context) -> None:
    with any_ctx.database.transaction() as tx:
        tx.session.add(User(username="ada", display_name="Ada", role="admin", created_at=NOON))
    (id_,) = store(any_ctx, post("1")).new_ids
    _forget(any_ctx, id_)
    assert look(any_ctx, "SELECT username FROM users") == [("ada",)]


# Threads of which a platform tells only what is answered --------------------------------------------------------------


def _answers(external_id: str, parent_id: str, minutes_ago: int) -> NewMention:
    return post(external_id, root_id=parent_id, parent_id=parent_id, posted_at=_minutes_ago(minutes_ago))


def test_a_thread_of_three_is_one_conversation_page_by_page_or_at_once(any_ctx: Context) -> None:
    store(any_ctx, post("a", posted_at=_minutes_ago(30)))
    store(any_ctx, _answers("b", "a", 20))
    store(any_ctx, _answers("c", "b", 10))
    store(any_ctx, post("k", posted_at=_minutes_ago(9)), _answers("m", "l", 7), _answers("l", "k", 8))
    counted = look(any_ctx, "SELECT root_id, mention_count FROM conversations ORDER BY root_id")
    assert counted == [("a", 3), ("k", 3)]
    assert look(any_ctx, "SELECT root_id FROM mentions WHERE external_id = 'm'") == [("k",)]


def test_what_answers_our_answer_is_part_of_the_conversation_that_we_answered(any_ctx: Context) -> None:
    store(any_ctx, post("a", posted_at=_minutes_ago(30)))
    ((conversation,),) = look(any_ctx, "SELECT id FROM conversations")
    with any_ctx.database.transaction() as tx:
        reply = Reply(
            conversation_id=conversation, draft_key="k", text="Sorry", state="sent", sent_id="b",
            conversation_version=1, created_at=any_ctx.clock(), changed_at=any_ctx.clock(),
        )  # fmt: skip
        tx.session.add(reply)
    store(any_ctx, _answers("c", "b", 10))
    assert look(any_ctx, "SELECT root_id, mention_count FROM conversations") == [("a", 2)]
