"""Conversation: the thread, what to remember of this person beside it, and a composer that says what it will do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, tzinfo

import streamlit as st

from dialogue import conversations, erasing, feedback, inbox, people, replies
from dialogue.context import Actor, Context, DialogueError, Missing, Role
from pages.parts import aside, context, copies, look, note_form, notices, state, tags, text

BEAT_SECONDS = 4
"""How often an open conversation asks for news; every second while a reply is on its way."""
ON_ITS_WAY = ("queued", "sending")
STATE_BADGES = {
    "open": ("needs an answer", "orange"),
    "waiting": ("waiting for them", "blue"),
    "closed": ("closed", "gray"),
}
REPLY_COLOURS = {"sent": "green", "handed_off": "green", "failed": "red", "unknown": "red", "draft": "gray"}


# Loaders: never draw --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=30, max_entries=100, show_spinner=False)
def load_view(
    scope: context.Scope, conversation_id: int, _ctx: Context, _person: Actor
) -> conversations.ConversationView:
    """The conversation as it stands at this data version, without who else looks at it."""
    return replace(conversations.open_(_ctx, _person, conversation_id), present=())


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def load_facets(scope: context.Scope, _ctx: Context) -> inbox.Facets:
    """Colleagues and topics to choose from."""
    return inbox.facets(_ctx)


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def load_items(scope: context.Scope, _ctx: Context, _person: Actor) -> dict[int, str]:
    """Feedback items that a quote can be added to."""
    board = feedback.board(_ctx, _person)
    return {item.id: f"{item.title} ({name})" for name, items in board.items() for item in items}


@st.cache_data(ttl=60, max_entries=100, show_spinner=False)
def load_same(scope: context.Scope, person_id: int, _ctx: Context, _person: Actor) -> people.PersonView:
    """Who may be the same person, and who was found to be."""
    return people.person(_ctx, _person, person_id)


def load(person: Actor, conversation_id: int) -> conversations.ConversationView:
    """The conversation for `person`, now."""
    return load_view(context.scope(person), conversation_id, context.ctx(), person)


# Head -----------------------------------------------------------------------------------------------------------------


def show_head(view: conversations.ConversationView, person: Actor, facets: inbox.Facets, now: datetime) -> None:
    """Where it stands, the way to its neighbours, and what can be done with the whole of it."""
    before, after = state.walk().around(view.id)
    with st.container(horizontal=True, vertical_alignment="center", key="head-ways", gap="xsmall"):
        st.button("Inbox", icon=":material/arrow_back:", type="tertiary", key="back", on_click=_go, args=("inbox",))
        st.button(
            "Previous",
            icon=":material/keyboard_arrow_up:",
            type="tertiary",
            key="previous",
            disabled=before is None,
            on_click=_go,
            args=(before,),
            shortcut="Alt+Up",
        )
        st.button(
            "Next",
            icon=":material/keyboard_arrow_down:",
            type="tertiary",
            key="next",
            disabled=after is None,
            on_click=_go,
            args=(after,),
            shortcut="Alt+Down",
        )
    left, right = st.columns([0.62, 0.38], vertical_alignment="center")
    with left:
        st.markdown(f"# {text.plain(view.title, 120)}", anchors=False)
        st.markdown(" ".join(head_badges(view, now)))
    if person.role >= Role.RESPONDER:
        with right:
            show_actions(view, facets)


def head_badges(view: conversations.ConversationView, now: datetime) -> list[str]:
    """State, due time, who has it, whether it was made up."""
    words, colour = STATE_BADGES.get(view.state, (view.state, "gray"))
    if view.aside or view.folded_under:
        words, colour = ("set aside" if view.aside else "copy"), "gray"
    found = [look.badge(view.platform_title, "gray"), look.badge(words, colour)]
    if view.state == "open" and view.due_at is not None and not (view.aside or view.folded_under):
        late = view.due_at <= now
        due = f"overdue {text.span(now - view.due_at)}" if late else f"answer within {text.span(view.due_at - now)}"
        found.append(look.badge(due, "red" if late else "orange", ":material/schedule:"))
    if view.sample:
        found.append(look.badge("sample data", "gray", ":material/science:"))
    found.extend(
        look.badge(f"{title} ({item_state})", "blue", ":material/lightbulb:") for _, title, item_state in view.feedback
    )
    return found


def show_actions(view: conversations.ConversationView, facets: inbox.Facets) -> None:
    """Assign, close or reopen."""
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="head-actions"):
        names = dict(facets.colleagues)
        if view.assignee_id is not None:
            names.setdefault(view.assignee_id, view.assignee_name or "A colleague")
        st.session_state["assignee"] = view.assignee_id
        st.selectbox(
            "Assigned to",
            list(names),
            index=None,
            placeholder="Nobody has it",
            key="assignee",
            label_visibility="collapsed",
            width=170,
            format_func=lambda one: text.shorten(text.tidy(names[one]), 60),
            on_change=_assign,
            args=(view.id,),
        )
        if not view.aside:
            st.button(
                "",
                icon=aside.ICON,
                type="tertiary",
                key="set_aside",
                help="Set aside as spam: out of the inbox and of every count, never deleted",
                on_click=aside.set_aside,
                args=([view.id],),
            )
        if view.state == "closed":
            st.button("Reopen", icon=":material/replay:", key="reopen", on_click=_set_state, args=(view.id, True))
        else:
            st.button("Close", icon=":material/done_all:", key="close", on_click=_set_state, args=(view.id, False))


def _go(target: str | int | None) -> None:
    if target is not None:
        state.open_up("going_to", target)


def _assign(conversation_id: int) -> None:
    with look.telling_errors_later():
        undo_id = inbox.assign(context.ctx(), context.actor(), [conversation_id], st.session_state["assignee"])
        state.tell("Assigned.", undo_id=undo_id)


def _set_state(conversation_id: int, reopen: bool) -> None:
    with look.telling_errors_later():
        change = inbox.reopen if reopen else inbox.close
        undo_id = change(context.ctx(), context.actor(), [conversation_id])
        state.tell("Reopened." if reopen else "Closed.", undo_id=undo_id)


def show_place(view: conversations.ConversationView, now: datetime) -> None:
    """Where it lies when not in the inbox, why, and the way back; and who else said the same."""
    if not (view.aside or view.folded_under or view.copies):
        return
    with st.container(border=True, key="place", gap="small", horizontal=True, vertical_alignment="center"):
        if view.aside:
            st.markdown(f"{aside.ICON} **Set aside.** {text.plain(view.aside, 400)} It is in no count.")
            if context.may(Role.RESPONDER):
                st.button(
                    "Not spam", icon=":material/undo:", key="not_spam", on_click=aside.bring_back, args=([view.id],)
                )
        elif view.folded_under:
            st.markdown(f"{copies.ICON} **A copy.** Somebody said the same before; this needs no answer of its own.")
            st.button("Go to the first", key="first_said", on_click=_go, args=(view.folded_under,))
            if context.may(Role.RESPONDER):
                st.button("Not a copy", key="unfold", type="tertiary", on_click=copies.unfold, args=(view.folded,))
        else:
            copies.show_popover(view.id, view.copies, now, "going_to")


# Thread ---------------------------------------------------------------------------------------------------------------


def show_thread(view: conversations.ConversationView, now: datetime, reader: tzinfo, topics: list[str]) -> None:
    """Everything that was said here, oldest first."""
    with st.container(key="thread", gap="small"):
        if not view.items:
            st.caption("What was said here has been deleted where it was posted, and therefore here too.")
        for item in view.items:
            show_item(item, now, reader, topics)


def show_item(item: conversations.Item, now: datetime, reader: tzinfo, topics: list[str]) -> None:
    """One message of theirs or ours."""
    name, avatar = ("assistant", ":material/storefront:") if item.ours else ("user", ":material/person:")
    with st.chat_message(name, avatar=avatar):
        st.markdown(item_line(item, now, reader))
        if item.title:
            st.markdown(f"**{text.plain(item.title, 300)}**")
        look.quote(item.text, key=f"{item.kind}_{item.id}")
        look.attribution(item.attribution, item.url)
        if item.kind == "reply":
            show_reply_state(item, now)
        elif item.kind == "context":
            show_way_there(item)
        elif not item.ours:
            show_item_tools(item, topics)


ROLE_WORDS = {
    "begins": "the thread begins with this",
    "answered": "this is answered below",
    "quoted": "this is quoted below",
}
"""What stands by a post that is here only to be understood by."""


def item_line(item: conversations.Item, now: datetime, reader: tzinfo) -> str:
    """Markdown: who, when, and what is particular about it."""
    parts = [text.at(item.at, now, reader)]
    if item.rating is not None:
        parts.append(text.stars(item.rating))
    if item.noted is not None:
        parts.append(note_form.noted_words(item))
    if item.edited and not item.outdated:
        parts.append("edited")
    if item.kind == "context":
        parts.append(ROLE_WORDS[item.role])
    if item.language not in {None, "", "en", "und"}:
        parts.append(item.language)
    badge = " " + look.badge("edited after our answer", "orange", ":material/edit:") if item.outdated else ""
    badge += " " + look.badge("sample", "gray", ":material/science:") if item.sample else ""
    return f"**{text.plain(item.author_name, 80)}** {look.grey(' · '.join(['', *parts]))}{badge}"


def show_item_tools(item: conversations.Item, topics: list[str]) -> None:
    """Correct its tags, carry it in, see it where it was posted."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"tools-{item.id}"):
        tags.correct(item.id, item.sentiment, item.intent, item.topics, item.corrected, topics)
        if context.may(Role.PRODUCT):
            st.button(
                "Add to feedback",
                icon=":material/lightbulb:",
                type="tertiary",
                key=f"carry_{item.id}",
                on_click=state.open_up,
                args=("carry", (item.id, item.text or item.title or "")),
            )
        note_form.show_tools(item, context.actor())
        show_way_there(item)


def show_way_there(item: conversations.Item) -> None:
    """The link to where it was posted, if it has one."""
    if item.url:
        key = f"there_{item.id}" if item.kind == "mention" else f"there_{item.kind}_{item.id}"
        st.link_button("Open there", item.url, icon=":material/open_in_new:", type="tertiary", key=key)


def show_reply_state(item: conversations.Item, now: datetime) -> None:
    """Where our reply stands, and what a person may still do about it."""
    # A badge is cut at a line's length; a platform's reason is not, wherever it needs more.
    stands, _, reason = (item.state_words or item.state).partition(". ")
    badge = look.badge(stands + ("." if reason else ""), REPLY_COLOURS.get(item.state, "blue"), reply_icon(item.state))
    st.markdown(badge + (f"  \n{text.plain(reason, 1_000)}" if reason else ""))
    if item.what_to_do and item.state != "hand_off":
        st.markdown(f":material/arrow_forward: {text.plain(item.what_to_do, 400)}")
    if not context.may(Role.RESPONDER):
        return
    with st.container(horizontal=True, key=f"reply-{item.id}", gap="xsmall"):
        if item.can_undo_until is not None and item.can_undo_until > now and item.state == "queued":
            show_undo(item)
        for label, icon, action, words, role in REPLY_ACTIONS.get(item.state, ()):
            if context.may(role):
                st.button(label, icon=icon, key=f"{label}_{item.id}", on_click=_act, args=(action, item.id, words))


@st.fragment(run_every=1)
def show_undo(item: conversations.Item) -> None:
    """The way back while there is one, with the seconds that are left."""
    if state.take_rerun():
        st.rerun()
    left = (item.can_undo_until or context.now()) - context.now()
    if left.total_seconds() <= 0:
        return
    st.button(
        f"Undo ({text.span(left)})",
        icon=":material/undo:",
        key=f"undo_reply_{item.id}",
        on_click=_act,
        args=(replies.undo, item.id, "Back in the composer; nothing was sent."),
    )


def reply_icon(reply_state: str) -> str:
    """The icon of a reply's state."""
    return {
        "queued": ":material/hourglass_top:",
        "sending": ":material/send:",
        "sent": ":material/check:",
        "handed_off": ":material/check:",
        "failed": ":material/error:",
        "unknown": ":material/help:",
        "awaiting_approval": ":material/approval:",
        "hand_off": ":material/content_copy:",
    }.get(reply_state, ":material/edit:")


def _sent_after_all(ctx: Context, person: Actor, reply_id: int) -> object:
    return replies.resolve_unknown(ctx, person, reply_id, True)


def _not_sent_after_all(ctx: Context, person: Actor, reply_id: int) -> object:
    return replies.resolve_unknown(ctx, person, reply_id, False)


REPLY_ACTIONS = {
    "failed": (
        ("Try again", ":material/refresh:", replies.retry, "Queued again.", Role.RESPONDER),
        ("Post it by hand", ":material/content_copy:", replies.hand_off, "Ready to copy below.", Role.RESPONDER),
        ("Discard", ":material/delete:", replies.discard, "Discarded; nothing was sent.", Role.RESPONDER),
    ),
    "unknown": (
        ("It is there", ":material/check:", _sent_after_all, "Noted as sent.", Role.RESPONDER),
        ("It is not there", ":material/close:", _not_sent_after_all, "Noted as not sent.", Role.RESPONDER),
    ),
    "awaiting_approval": (
        ("Approve and send", ":material/check:", replies.approve, "Approved; it is on its way.", Role.APPROVER),
        ("Send back", ":material/undo:", replies.reject, "Sent back to its writer.", Role.APPROVER),
    ),
}


def _act(action: object, reply_id: int, words: str) -> None:
    with look.telling_errors_later():
        action(context.ctx(), context.actor(), reply_id)
        state.tell(words)
    state.ask_rerun()


# Composer -------------------------------------------------------------------------------------------------------------


@st.fragment
def show_composer(view: conversations.ConversationView) -> None:
    """Where an answer is written: first what may be done here, then the words, then exactly how they will appear."""
    if state.take_rerun():
        st.rerun()
    composer = view.composer
    with st.container(border=True, key="composer"):
        if composer.how == "none" or not context.may(Role.RESPONDER):
            st.markdown(f":material/lock: {text.plain(composer.reason or 'Your role may read, not answer.', 600)}")
            return
        show_how(composer)
        if state.opened("composer_error"):
            st.error(text.plain_lines(state.opened("composer_error"), 1_000), icon=":material/error:")
            state.close_up("composer_error")
        hand_off = next((item for item in view.items if item.kind == "reply" and item.state == "hand_off"), None)
        if hand_off is not None:
            show_hand_off(view, hand_off)
        elif state.checked_text(view.id) is None:
            show_writing(view)
        else:
            show_preview(view, state.checked_text(view.id) or "")


def show_how(composer: conversations.Composer) -> None:
    """As whom, where and how public, before anything is typed."""
    if composer.how == "hand_off":
        st.markdown(look.badge("hand-off", "orange", ":material/content_copy:") + " " + look.grey(composer.reason))
        return
    who = (
        f":material/reply: As **{text.plain(composer.as_whom, 80)}**" if composer.as_whom else ":material/reply: Answer"
    )
    st.markdown(
        f"{who} {look.grey(composer.place_words)}" + (f"  \n{look.grey(composer.reason)}" if composer.reason else "")
    )


def show_writing(view: conversations.ConversationView) -> None:
    """The words."""
    composer, key = view.composer, state.composer_key(view.id, view.composer.draft_key)
    if key not in st.session_state:
        st.session_state[key] = composer.draft_text
    words = st.text_area(
        "Your answer",
        key=key,
        label_visibility="collapsed",
        height=110,
        placeholder="Write as you would speak to them. You see it exactly as it will appear before it leaves.",
    )
    used, most = conversations.count(context.ctx(), view.id, words)
    with st.container(horizontal=True, vertical_alignment="center", key="composer-foot"):
        st.button(
            "Preview",
            icon=":material/visibility:",
            type="primary",
            key="preview",
            shortcut="Mod+Enter",
            on_click=_check,
            args=(view.id, key),
        )
        st.button("Save draft", type="tertiary", key="save_draft", on_click=_save, args=(view, key))
        st.markdown(counter(used, most, composer.counted_in))


def counter(used: int, most: int | None, counted_in: str) -> str:
    """Markdown: how long it is, as the platform counts."""
    if most is None:
        return look.grey(f"{used:,} {counted_in}")
    words = f"{used:,} of {most:,} {counted_in}"
    return f":red[**{text.plain(words)}: too long by {used - most:,}**]" if used > most else look.grey(words)


def show_preview(view: conversations.ConversationView, words: str) -> None:
    """Exactly what will stand there; only from here can it be sent."""
    composer = view.composer
    with look.telling_errors():
        exact = conversations.preview(context.ctx(), view.id, words)
        used, most = conversations.count(context.ctx(), view.id, words)
        st.caption("Exactly as it will appear:")
        with st.chat_message("assistant", avatar=":material/storefront:"):
            st.markdown(f"**{text.plain(composer.as_whom or 'You', 80)}**")
            look.quote(exact, key="preview_text")
        st.markdown(counter(used, most, composer.counted_in))
        fits = most is None or used <= most
        with st.container(horizontal=True, vertical_alignment="center", key="composer-send"):
            st.button(
                send_words(composer),
                icon=send_icon(composer),
                type="primary",
                key="send",
                disabled=not fits,
                shortcut="Mod+Enter",
                on_click=_send,
                args=(view, words),
            )
            st.button("Edit", icon=":material/edit:", key="edit", on_click=_edit, args=(view, words))
            st.markdown(look.small(send_note(composer)))


def send_words(composer: conversations.Composer) -> str:
    """What the button does, in its own words."""
    if composer.how == "hand_off":
        return "Prepare to post by hand"
    if composer.approval_needed:
        return "Ask for approval"
    return f"Send as {text.plain(composer.as_whom, 60)}" if composer.as_whom else "Send"


def send_icon(composer: conversations.Composer) -> str:
    """The icon of what the button does."""
    if composer.how == "hand_off":
        return ":material/content_copy:"
    return ":material/approval:" if composer.approval_needed else ":material/send:"


def send_note(composer: conversations.Composer) -> str:
    """What happens after the click."""
    if composer.how == "hand_off":
        return "You copy it, post it there, and mark it as sent."
    if composer.approval_needed:
        return "An approver reads it before it leaves."
    return f"{composer.undo_seconds} seconds to take it back."


def show_hand_off(view: conversations.ConversationView, item: conversations.Item) -> None:
    """What must be posted by hand: the words to copy, the place to go, and the tick when it is done."""
    st.markdown("**Post this by hand**, then mark it as sent:")
    st.code(text.tidy(item.text), language=None, wrap_lines=True)
    target = item.url or view.url
    with st.container(horizontal=True, vertical_alignment="bottom", key="hand-off"):
        if target:
            st.link_button("Open the post", target, icon=":material/open_in_new:", key="hand_off_link")
        st.button(
            "Mark as sent",
            icon=":material/check:",
            type="primary",
            key="handed_off",
            on_click=_handed_off,
            args=(item.id, "hand_off_url"),
        )
        st.button(
            "Discard",
            type="tertiary",
            key="hand_off_discard",
            on_click=_act,
            args=(replies.discard, item.id, "Discarded; nothing was sent."),
        )
    st.text_input("Address of your answer there", key="hand_off_url", placeholder="https://… (optional)")


def _check(conversation_id: int, key: str) -> None:
    words = st.session_state.get(key, "")
    if words.strip():
        state.set_checked_text(conversation_id, words)
    else:
        state.open_up("composer_error", "There is nothing to send yet. Write your answer first.")


def _edit(view: conversations.ConversationView, words: str) -> None:
    state.set_checked_text(view.id, None)
    st.session_state[state.composer_key(view.id, view.composer.draft_key)] = words


def _save(view: conversations.ConversationView, key: str) -> None:
    composer = view.composer
    with _telling_in_composer():
        words = st.session_state.get(key, "")
        replies.save_draft(
            context.ctx(), context.actor(), view.id, composer.answering_mention_id, words, composer.draft_key
        )
        state.tell("Draft saved.")
    state.ask_rerun()


def _send(view: conversations.ConversationView, words: str) -> None:
    # Both clicks of a double click carry the same view, hence the same draft key: the second finds the first's reply.
    composer = view.composer
    with _telling_in_composer():
        sent = replies.send(
            context.ctx(),
            context.actor(),
            view.id,
            composer.answering_mention_id,
            words,
            composer.draft_key,
            view.version,
        )
        state.set_checked_text(view.id, None)
        state.tell(sent.words)
    state.ask_rerun()


@contextmanager
def _telling_in_composer() -> Iterator[None]:
    """Tells an error where the words stand, and keeps them."""
    try:
        yield
    except DialogueError as error:
        state.open_up("composer_error", str(error))


def _handed_off(reply_id: int, url_key: str) -> None:
    with look.telling_errors_later():
        replies.mark_handed_off(context.ctx(), context.actor(), reply_id, st.session_state.get(url_key) or None)
        state.tell("Noted as sent.")
    state.ask_rerun()


# Beside ---------------------------------------------------------------------------------------------------------------


def show_person(panel: conversations.PersonPanel, now: datetime, reader: tzinfo) -> None:
    """What is worth remembering, and who this is."""
    if panel.worth_remembering:
        with st.container(border=True, key="remember", gap="xsmall"):
            st.markdown(":violet[:material/history: **Worth remembering**]")
            for line in panel.worth_remembering:
                st.markdown(f":violet[•] {text.plain(line, 300)}")
    with st.container(border=True, key="person", gap="xsmall"):
        st.markdown(f"**{text.plain(panel.name, 80)}**")
        for platform, handle, url in panel.handles:
            name = f"{text.plain(platform, 40)} · {text.plain(handle, 80)}"
            st.caption(f"[{name}]({text.link_target(url)})" if url and text.link_target(url) else name)
        st.caption(person_words(panel, now, reader))
        show_memo(panel)
        if panel.person_id is not None and panel.handles and context.may(Role.ADMIN):
            st.button(
                "Forget this person",
                icon=":material/person_remove:",
                type="tertiary",
                key="erase",
                on_click=state.open_up,
                args=("erase", panel.person_id),
            )


@st.dialog("Forget this person", icon=":material/person_remove:", on_dismiss=lambda: state.close_up("erase"))
def show_erase(panel: conversations.PersonPanel) -> None:
    """Everything of theirs, for good; an administrator, after a look at what goes."""
    known = ", ".join(f"{text.plain(name, 80)} on {text.plain(where, 40)}" for where, name, _ in panel.handles)
    st.markdown(f"**{text.plain(panel.name, 80)}**: {known}")
    st.markdown(
        f"{text.counted(panel.mention_count, 'mention')} and all that was made of them go for good, from "
        "conversations, charts and the feedback board, and are not collected again. What we answered stays where it "
        "was posted."
    )
    if st.button("Forget them", type="primary", icon=":material/delete_forever:", key="erase_go"):
        with look.telling_errors():
            gone = erasing.forget_person(context.ctx(), context.actor(), panel.person_id)
            state.close_up("erase")
            state.tell(gone.words)
            st.rerun()


def show_same(view: people.PersonView) -> None:
    """Who may be the same person, with the evidence: a person decides, and may take it back."""
    person_id = view.panel.person_id
    if person_id is None or not (view.suggestions or view.merges) or not context.may(Role.RESPONDER):
        return
    with st.container(border=True, key="same-person", gap="xsmall"):
        for one in view.suggestions[:3]:
            words = f"Same person as **{text.plain(one.handle, 80)}** on {text.plain(one.platform_title, 40)}?"
            st.markdown(f"{words}  \n{look.small(one.evidence)}")
            st.button(
                "They are the same",
                key=f"merge_{one.person_id}",
                icon=":material/merge:",
                on_click=_merge,
                args=(person_id, one.person_id, one.evidence),
            )
        for one in view.merges:
            with st.container(horizontal=True, vertical_alignment="center", key=f"merged-{one.merge_id}"):
                st.markdown(look.small(f"Also known as {one.name}"))
                st.button(
                    "Not the same",
                    key=f"unmerge_{one.merge_id}",
                    type="tertiary",
                    on_click=_unmerge,
                    args=(one.merge_id,),
                )


def _merge(into: int, absorbed: int, evidence: str) -> None:
    with look.telling_errors_later():
        people.merge(context.ctx(), context.actor(), into, absorbed, evidence)
        state.tell("One person from now on; it can be taken back beside the conversation.")


def _unmerge(merge_id: int) -> None:
    with look.telling_errors_later():
        people.unmerge(context.ctx(), context.actor(), merge_id)
        state.tell("Two people again.")


def person_words(panel: conversations.PersonPanel, now: datetime, reader: tzinfo) -> str:
    """Both sides in one line."""
    parts = [f"heard {text.times(panel.mention_count)}"] if panel.mention_count else []
    if panel.answered_count:
        parts.append(f"answered {text.times(panel.answered_count)}")
    if panel.since is not None:
        parts.append(f"since {panel.since.astimezone(reader):%b %Y}")
    if panel.followers is not None:
        parts.append(text.counted(panel.followers, "follower"))
    return " · ".join(parts)


def show_memo(panel: conversations.PersonPanel) -> None:
    """What colleagues wrote down about this person."""
    if panel.person_id is None:
        return
    key = f"memo_{panel.person_id}"
    if not context.may(Role.RESPONDER):
        if panel.memo:
            look.quote(panel.memo)
        return
    if state.opened("memo") != panel.person_id:
        if panel.memo:
            look.quote(panel.memo)
        st.button(
            "Edit note" if panel.memo else "Add a note",
            icon=":material/edit_note:",
            type="tertiary",
            key="memo_edit",
            on_click=state.open_up,
            args=("memo", panel.person_id),
        )
        return
    with st.form("memo_form", border=False):
        st.text_area(
            "Note for colleagues",
            panel.memo,
            key=key,
            max_chars=2_000,
            height=90,
            placeholder="Prefers e-mail; waits for the GPX export.",
        )
        st.form_submit_button("Save note", on_click=_save_memo, args=(panel.person_id, key))


def _save_memo(person_id: int, key: str) -> None:
    with look.telling_errors_later():
        people.set_memo(context.ctx(), context.actor(), person_id, st.session_state.get(key, ""))
        state.close_up("memo")
        state.tell("Note saved.")


def show_history(panel: conversations.PersonPanel, view_id: int, now: datetime, reader: tzinfo) -> None:
    """What was said elsewhere, newest first."""
    elsewhere = [line for line in panel.history if line.conversation_id != view_id]
    if not elsewhere:
        return
    with st.container(border=True, key="history", gap="xsmall"):
        st.markdown("**Said before**")
        for place, line in enumerate(elsewhere[:12]):
            show_history_line(place, line, now, reader)


def show_history_line(place: int, line: conversations.HistoryLine, now: datetime, reader: tzinfo) -> None:
    """Something said elsewhere, and the way there."""
    mood = line.sentiment or ""
    who = "**We**" if line.ours else f":{look.COLOURS.get(mood, 'gray')}[{look.MARKS.get(mood, '●')}]"
    with st.container(horizontal=True, wrap=False, vertical_alignment="top", gap="xsmall", key=f"before-{place}"):
        when = look.small(f"{text.at(line.at, now, reader)} · {line.platform_title}")
        st.markdown(f"{who} {when}  \n{text.plain(line.text, 160)}", width="stretch")
        st.button(
            "",
            key=f"before_{place}_{line.conversation_id}",
            type="tertiary",
            icon=":material/arrow_forward:",
            help="Open this conversation",
            on_click=_go,
            args=(line.conversation_id,),
        )


# Carry in -------------------------------------------------------------------------------------------------------------


@st.dialog("Add to feedback", icon=":material/lightbulb:", on_dismiss=lambda: state.close_up("carry"))
def show_carry(mention_id: int, words: str, items: dict[int, str]) -> None:
    """A quote for the board: a new item, or one that stands there."""
    where = (
        st.segmented_control(
            "Where to",
            ["New item", "Existing item"],
            default="New item",
            required=True,
            key="carry_where",
            label_visibility="collapsed",
        )
        if items
        else "New item"
    )
    quote = st.text_area(
        "In their words", text.shorten(text.tidy(words), 1_000), key=f"carry_quote_{mention_id}", height=100
    )
    if where == "New item":
        title = st.text_input(
            "Title", key=f"carry_title_{mention_id}", max_chars=200, placeholder="GPX export of routes"
        )
        kind = st.pills("Kind", feedback.KINDS, default=feedback.KINDS[0], key="carry_kind", required=True)
        ready = bool(title.strip())
    else:
        item_id = st.selectbox(
            "Item", list(items), format_func=lambda one: text.shorten(text.tidy(items[one]), 100), key="carry_item"
        )
        ready = True
    if st.button("Add", type="primary", key="carry_add", disabled=False):
        if not ready:
            st.error("Give it a title, so that the product team can find it.")
            return
        with look.telling_errors():
            ctx, person = context.ctx(), context.actor()
            if where == "New item":
                feedback.add(ctx, person, title, kind, mention_id, quote)
            else:
                feedback.attach(ctx, person, item_id, mention_id, quote)
            state.close_up("carry")
            state.tell("On the feedback board, with the quote.")
            st.rerun()


# Heartbeat ------------------------------------------------------------------------------------------------------------


def beat(view: conversations.ConversationView) -> None:
    """Says who else is here and notices news: soon while a reply is on its way, else calmly."""
    busy = any(item.kind == "reply" and item.state in ON_ITS_WAY for item in view.items)
    (_beat_fast if busy else _beat)(view)


@st.fragment(run_every=BEAT_SECONDS)
def _beat(view: conversations.ConversationView) -> None:
    _look_again(view)


@st.fragment(run_every=1)
def _beat_fast(view: conversations.ConversationView) -> None:
    _look_again(view)


def _look_again(view: conversations.ConversationView) -> None:
    person = context.actor()
    try:
        others = conversations.touch(context.ctx(), person, view.id)
        changed = load(person, view.id).items != view.items
    except DialogueError as error:
        st.warning(text.plain_lines(str(error)))
        return
    if others:
        names = ", ".join(text.plain(name, 60) for name in others)
        st.markdown(
            f":orange-badge[:material/visibility: {names} {'has' if len(others) == 1 else 'have'} this open too]"
        )
    if changed:
        st.rerun()


def follow_way() -> None:
    """Goes where the last click wanted to go."""
    target = state.opened("going_to")
    state.close_up("going_to")
    if target == "inbox":
        st.switch_page("pages/inbox.py", query_params=state.walk().as_query())
    if isinstance(target, int):
        state.set_checked_text(target, None)
        st.query_params.from_dict(state.conversation_query(target))


def show_none(words: str) -> None:
    """There is no conversation to show, and where to find one."""
    look.heading("Conversation")
    look.nothing(words, ":material/forum:")
    st.page_link("pages/inbox.py", label="Go to the inbox", icon=":material/inbox:")


def main() -> None:
    """Wires loaders and views."""
    context.through_the_dashboard()
    state.take_rerun()
    follow_way()
    conversation_id = state.conversation_id()
    if conversation_id is None:
        show_none("No conversation is open. Choose one in the **Inbox**.")
        return
    person = context.actor()
    try:
        view = load(person, conversation_id)
    except Missing as error:
        state.forget_conversation()
        show_none(text.plain(str(error)))
        return
    with look.telling_errors():
        inbox.mark_seen(context.ctx(), person, view.id, view.version)
        facets, now, reader = load_facets(context.scope(person), context.ctx()), context.now(), context.reader_zone()
        notices.show()
        show_head(view, person, facets, now)
        show_place(view, now)
        thread, beside = st.columns([0.64, 0.36], gap="medium")
        with thread:
            beat(view)
            show_thread(view, now, reader, facets.topics)
            show_composer(view)
        with beside:
            show_person(view.person, now, reader)
            if view.person.person_id is not None:
                show_same(load_same(context.scope(person), view.person.person_id, context.ctx(), person))
            show_history(view.person, view.id, now, reader)
        carry = state.opened("carry")
        if carry is not None:
            show_carry(*carry, load_items(context.scope(person), context.ctx(), person))
        elif state.opened("erase") is not None and state.opened("erase") == view.person.person_id:
            show_erase(view.person)
        else:
            note_form.show_editing(view.items)


main()
