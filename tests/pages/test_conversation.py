"""Answering: nothing leaves unseen, a double click sends once, and what cannot be sent says so before anybody types."""

from __future__ import annotations

from datetime import timedelta

from streamlit.testing.v1 import AppTest

from db.context import NewContext
from dialogue import conversations, feedback, inbox, people, replies
from dialogue.context import Actor, Context, Role
from tests.conftest import Clock
from tests.pages import world
from tests.pages.conftest import Opened, shown
from tests.worlds import look

MIRA = Actor(1, "Mira", Role.ADMIN)


def asked(ctx: Context, words: str = "Where is my parcel?") -> None:
    """One person asks, in sample data: an answer is kept here."""
    world.says(ctx, world.post(1, words, posted_at=ctx.clock()), source_id=world.source(ctx), sample=True)


def write(app: AppTest, words: str) -> AppTest:
    """Types an answer and asks for the preview."""
    app.text_area[0].set_value(words).run()
    return app.button(key="preview").click().run()


def test_an_answer_is_seen_exactly_as_it_will_appear_before_it_can_be_sent(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    assert "send" not in [button.key for button in app.button]
    write(app, "  **Tomorrow**, by noon.\n:smile: ")
    assert "**Tomorrow**, by noon.\n:smile:" in [element.value for element in app.text]
    assert replies.status(ctx, 1) == ()
    app.button(key="send").click().run()
    assert [(reply.text, reply.state) for reply in replies.status(ctx, 1)] == [
        ("**Tomorrow**, by noon.\n:smile:", "queued")
    ]
    assert not app.error


def test_a_double_click_sends_once(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    write(app, "Tomorrow, by noon.")
    send = app.button(key="send")
    send.click()
    app.run()
    send.click()  # the second click of a double click: the browser sent it before it saw the first one's answer
    app.run()
    assert len(replies.status(ctx, 1)) == 1
    assert not app.error


def test_editing_after_the_preview_must_be_seen_again(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    write(app, "Tomorow.")
    app.button(key="edit").click().run()
    assert app.text_area[0].value == "Tomorow."
    assert "send" not in [button.key for button in app.button]
    write(app, "Tomorrow.")
    app.button(key="send").click().run()
    assert [reply.text for reply in replies.status(ctx, 1)] == ["Tomorrow."]


def test_the_composer_is_empty_after_sending_and_full_again_after_undo(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    write(app, "Tomorrow.")
    app.button(key="send").click().run()
    assert app.text_area[0].value == ""
    reply = replies.status(ctx, 1)[0]
    app.button(key=f"undo_reply_{reply.id}").click().run()
    assert replies.status(ctx, 1) == ()
    assert app.text_area[0].value == "Tomorrow."


def test_a_reply_is_followed_from_queued_to_sent(ctx: Context, open_page: Opened, clock: Clock) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    write(app, "Tomorrow.")
    app.button(key="send").click().run()
    reply = replies.status(ctx, 1)[0]
    assert f"undo_reply_{reply.id}" in [button.key for button in app.button]
    clock.forward(seconds=30)
    replies.deliver(ctx, reply.id)
    app.run()
    assert f"undo_reply_{reply.id}" not in [button.key for button in app.button]
    assert replies.status(ctx, 1)[0].state == "sent"
    assert shown(app).count("Tomorrow.") == 1


def test_too_long_cannot_be_sent(ctx: Context, open_page: Opened) -> None:
    world.says(ctx, world.post(1, platform="bluesky", posted_at=ctx.clock()), source_id=world.source(ctx), sample=True)
    app = open_page("conversation", conversation="1")
    limit = conversations.count(ctx, 1, "")[1]
    assert limit
    write(app, "x" * (limit + 7))
    assert "too long by 7" in shown(app)
    assert app.button(key="send").disabled


def test_an_empty_answer_says_so(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    write(app, "   ")
    assert "nothing to send" in shown(app)


def test_what_was_edited_after_our_answer_says_so(ctx: Context, open_page: Opened, clock: Clock) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    write(app, "Tomorrow, by noon.")
    app.button(key="send").click().run()
    clock.forward(minutes=1)
    (reply,) = replies.status(ctx, 1)
    replies.deliver(ctx, reply.id)
    assert "edited after our answer" not in shown(app.run())
    clock.forward(minutes=1)
    edited = world.post(1, "Where is my other parcel?", posted_at=ctx.clock(), edited_at=ctx.clock())
    world.says(ctx, edited, source_id=None, sample=True)
    assert "edited after our answer" in shown(app.run())


def test_when_they_spoke_meanwhile_the_words_are_kept_and_the_reason_is_told(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    write(app, "Tomorrow.")
    more = world.post(2, "It came!", posted_at=ctx.clock(), root_id="post-1", parent_id="post-1", author_id="person-1")
    send = app.button(key="send")
    world.says(ctx, more, sample=True)
    send.click().run()
    assert app.error
    assert "spoke" in app.error[0].value
    assert replies.status(ctx, 1) == ()
    assert "Tomorrow." in shown(app)


def test_what_cannot_be_answered_from_here_says_so_first_and_is_handed_off(ctx: Context, open_page: Opened) -> None:
    world.says(ctx, world.post(1, posted_at=ctx.clock()), source_id=world.source(ctx))
    app = open_page("conversation", conversation="1")
    assert "hand\\-" in shown(app)
    write(app, "It leaves today.")
    app.button(key="send").click().run()
    assert [reply.state for reply in replies.status(ctx, 1)] == ["hand_off"]
    assert "It leaves today." in [block.value for block in app.code]
    app.button(key="handed_off").click().run()
    assert [reply.state for reply in replies.status(ctx, 1)] == ["handed_off"]


def test_a_viewer_reads_and_cannot_answer(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", Role.VIEWER, conversation="1")
    assert "Where is my parcel?" in shown(app)
    assert not app.text_area
    keys = {button.key for button in app.button}
    assert not keys & {"preview", "send", "close", "memo_edit"}


def test_opening_a_conversation_marks_it_seen(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    assert not app.exception
    cards = inbox.page(ctx, MIRA, inbox.Filters(view="all")).cards
    assert [card.unread for card in cards] == [False]


def test_close_reopen_and_undo(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    app.button(key="close").click().run()
    assert conversations.open_(ctx, MIRA, 1).state == "closed"
    app.button(key="undo").click().run()
    assert conversations.open_(ctx, MIRA, 1).state == "open"


def test_who_else_has_it_open(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    world.signed_in(ctx, Role.RESPONDER, "rolf")
    conversations.touch(ctx, Actor(2, "Rolf", Role.RESPONDER), 1)
    app.run()
    assert "Rolf has this open too" in shown(app)


def test_an_administrator_forgets_a_person_after_a_look_at_what_goes(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    world.says(ctx, world.post(2, "Mine came.", posted_at=ctx.clock()), source_id=world.source(ctx, label="Another"))
    app = open_page("conversation", conversation="1")
    app.button(key="erase").click().run()
    assert "1 mention and all that was made of them go for good" in shown(app)
    assert [one[0] for one in look(ctx, "SELECT text FROM mentions")] == ["Where is my parcel?", "Mine came."]
    app.button(key="erase_go").click().run()
    assert look(ctx, "SELECT text FROM mentions") == [("Mine came.",)]
    assert look(ctx, "SELECT handle FROM identities") == [("person2",)]
    assert not app.exception


def test_nobody_but_an_administrator_is_offered_to_forget(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", Role.APPROVER, conversation="1")
    assert "erase" not in [button.key for button in app.button]


def test_a_quote_goes_to_the_board(ctx: Context, open_page: Opened) -> None:
    asked(ctx, "Please export routes as GPX.")
    app = open_page("conversation", conversation="1")
    app.button(key="carry_1").click().run()
    app.text_input(key="carry_title_1").set_value("GPX export")
    app.button(key="carry_add").click().run()
    (item,) = feedback.board(ctx, MIRA)["new"]
    assert (item.title, [quote.text for quote in item.quotes]) == ("GPX export", ["Please export routes as GPX."])
    assert "GPX export" in shown(app)


def test_what_a_mention_answers_stands_above_it_and_cannot_be_worked_on(ctx: Context, open_page: Opened) -> None:
    above = NewContext(
        "root", "**Our** new app is out", ctx.clock() - timedelta(days=30), "ada", "Ada", "https://feed.example/root"
    )
    said = world.post(1, "It crashes.", posted_at=ctx.clock(), parent_id="root", root_id="root", context=(above,))
    world.says(ctx, said, source_id=world.source(ctx), sample=True)
    app = open_page("conversation", conversation="1")
    words = shown(app)
    assert words.index("Our") < words.index("It crashes.")
    assert "this is answered below" in words
    assert [button.key for button in app.button if str(button.key).startswith("carry_")] == ["carry_1"]
    assert not app.exception


def test_what_was_said_before_stands_beside(ctx: Context, open_page: Opened) -> None:
    before = world.post(7, "The chain broke.", posted_at=ctx.clock() - timedelta(days=3), author_id="person-1")
    world.says(ctx, before, sample=True)
    world.says(ctx, world.post(1, "And now the brake.", posted_at=ctx.clock()), sample=True)
    cards = inbox.page(ctx, Actor(None, "x", Role.ADMIN), inbox.Filters(view="all", search="brake")).cards
    app = open_page("conversation", conversation=str(cards[0].conversation_id))
    assert "The chain broke" in shown(app)


def test_nothing_is_said_of_answers_that_never_were(ctx: Context, open_page: Opened) -> None:
    before = world.post(7, "The chain broke.", posted_at=ctx.clock() - timedelta(days=3), author_id="person-1")
    world.says(ctx, before, world.post(1, "And now the brake.", posted_at=ctx.clock()), sample=True)
    app = open_page("conversation", conversation="1")
    assert "heard 2 times" in shown(app)
    assert "answered" not in shown(app)


def test_a_note_is_kept_for_colleagues(ctx: Context, open_page: Opened) -> None:
    asked(ctx)
    app = open_page("conversation", conversation="1")
    app.button(key="memo_edit").click().run()
    next(area for area in app.text_area if area.label == "Note for colleagues").set_value("Prefers *mail*")
    next(button for button in app.button if button.label == "Save note").click().run()
    assert (
        people.person(ctx, MIRA, conversations.open_(ctx, MIRA, 1).person.person_id or 0).panel.memo == "Prefers *mail*"
    )
    assert "Prefers *mail*" in [element.value for element in app.text]


def test_a_conversation_that_is_gone_says_so(ctx: Context, open_page: Opened) -> None:
    app = open_page("conversation", conversation="77")
    assert "not here any more" in shown(app)
    assert not app.exception


def test_an_address_that_makes_no_sense_opens_nothing(ctx: Context, open_page: Opened) -> None:
    app = open_page("conversation", conversation="' OR 1=1")
    assert "No conversation is open" in shown(app)


def test_two_handles_are_one_person_only_when_somebody_says_so_and_can_be_parted(
    ctx: Context, open_page: Opened
) -> None:
    now = ctx.clock()
    world.says(ctx, world.post(1, "On the feed", posted_at=now, author_id="a", author_handle="joberg"))
    other = world.post(
        2, "On the network", posted_at=now, platform="bluesky", author_id="did:b", author_handle="joberg"
    )
    world.says(ctx, other)
    app = open_page("conversation", conversation="1")
    merge = next(button for button in app.button if button.label == "They are the same")
    assert "The same handle" in shown(app)
    merge.click().run()
    assert "On the network" in shown(app)
    next(button for button in app.button if button.label == "Not the same").click().run()
    assert "On the network" not in shown(app)
