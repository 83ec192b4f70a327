"""A note: what a customer said to a colleague, written down from the inbox, and changed where it stands."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from dialogue import conversations, notes
from dialogue.context import Actor, Role
from pages.parts import context, look, state, text

ICON = ":material/edit_note:"
SHOWN = 5
HEARD_ICONS = {
    "phone": ":material/call:",
    "visit": ":material/storefront:",
    "chat": ":material/chat:",
    "mail": ":material/mail:",
    "event": ":material/groups:",
    "other": ":material/more_horiz:",
}


def show_button() -> None:
    """The way in, for those who may."""
    if context.may(Role.PRODUCT):
        st.button("Add a note", icon=ICON, key="add_note", on_click=_open, help="What a customer told you")


def _open() -> None:
    state.open_up("note", notes.new_key())


def show_dialog() -> None:
    """The form, where it was opened."""
    key = state.opened("note")
    if key is not None and context.may(Role.PRODUCT):
        show_adding(str(key))


@st.dialog("Add a note", width="large", icon=ICON, on_dismiss=lambda: state.close_up("note"))
def show_adding(key: str) -> None:
    """What was said, by whom, when and where; several at once are shown as they will be added."""
    many = st.segmented_control(
        "How many",
        [False, True],
        default=False,
        required=True,
        key="note_many",
        label_visibility="collapsed",
        format_func=lambda many: "Several at once" if many else "One note",
    )
    said = st.text_area(
        "What they said",
        key="note_text",
        height=140,
        max_chars=None if many else notes.LONGEST,
        placeholder="One note a line, or with a blank line between them."
        if many
        else "In their own words, if you can.",
    )
    texts = notes.split(said) if many else [said]
    if many:
        show_split(texts)
    who = show_who()
    heard, heard_at = show_when()
    if st.button("Add it" if len(texts) < 2 else f"Add {len(texts)} notes", type="primary", icon=":material/check:"):
        with look.telling_errors():
            added = notes.add(context.ctx(), context.actor(), texts, who, heard, heard_at, key)
            state.close_up("note")
            count = len(added.mention_ids)
            state.tell("Noted." if count < 2 else f"{count} notes added.")
            st.rerun()


def show_split(texts: list[str]) -> None:
    """Where one note ends and the next begins."""
    if not texts:
        return
    with st.container(border=True, key="note-split", gap="xsmall"):
        st.caption(f"{text.counted(len(texts), 'note')}:")
        for one in texts[:SHOWN]:
            st.text(text.shorten(" ".join(text.tidy(one).split()), 160))
        if len(texts) > SHOWN:
            st.caption(f"and {len(texts) - SHOWN} more")


def show_who() -> notes.Who:
    """As far as one knows; somebody whom we know already is offered by name."""
    first, second, third = st.columns(3)
    name = first.text_input("Who said it (optional)", key="note_name", max_chars=notes.MAX_NAME, placeholder="Jane Doe")
    company = second.text_input("Company (optional)", key="note_company", max_chars=notes.MAX_NAME)
    contact = third.text_input(
        "Handle, phone or mail (optional)", key="note_contact", max_chars=notes.MAX_NAME, placeholder="jane@example.com"
    )
    found = [one for words in (name, contact) for one in notes.people(context.ctx(), context.actor(), words)]
    known = {one.person_id: one for one in found}
    if not known:
        return notes.Who(name, company, contact)
    labels = {None: "Somebody new"} | {id_: f"{one.name}, {one.handles}" for id_, one in known.items()}
    chosen = st.radio(
        "Is it one of these?",
        list(labels),
        key="note_person",
        format_func=lambda one: text.plain(text.shorten(text.tidy(labels[one]), 120)),
    )
    if chosen is None:
        return notes.Who(name, company, contact)
    evidence = ""
    if known[chosen].guarded:
        evidence = st.text_input(
            "How do you know that it is them?",
            key="note_evidence",
            max_chars=notes.MAX_EVIDENCE,
            help=f"{text.plain(known[chosen].guarded, 60)} lets its people be matched only if they agreed or said so.",
        )
    return notes.Who(name, company, contact, chosen, evidence)


def show_when() -> tuple[str, datetime]:
    """Where and when it was heard, by the reader's clock."""
    here = context.now().astimezone(context.reader_zone())
    left, middle, right = st.columns([0.5, 0.28, 0.22], vertical_alignment="bottom")
    with left:
        heard = show_heard("phone", "note_heard")
    earliest = (here - notes.EARLIEST + timedelta(days=1)).date()
    day = middle.date_input("When", here.date(), min_value=earliest, max_value=here.date(), key="note_day")
    hour = right.time_input("At", here.replace(second=0, microsecond=0).time(), key="note_time")
    return heard, datetime.combine(day, hour, tzinfo=here.tzinfo)


def show_heard(heard: str, key: str) -> str:
    """Where it was heard."""
    return st.selectbox(
        "Heard",
        list(notes.HEARD),
        index=list(notes.HEARD).index(heard),
        key=key,
        format_func=lambda one: notes.HEARD[one],
    )


# Where it stands ------------------------------------------------------------------------------------------------------


def noted_words(item: conversations.Item) -> str:
    """Who wrote it down, and where it was heard."""
    noted = item.noted
    return "" if noted is None else f"heard {noted.place}, noted by {noted.writer}"


def show_tools(item: conversations.Item, person: Actor) -> None:
    """For its writer: change it. For its writer or an administrator: delete it."""
    if item.noted is None:
        return
    mine = item.noted.writer_id is not None and item.noted.writer_id == person.user_id
    if mine and person.role >= Role.PRODUCT:
        st.button(
            "Edit note",
            icon=":material/edit:",
            type="tertiary",
            key=f"note_edit_{item.id}",
            on_click=state.open_up,
            args=("note_edit", item.id),
        )
    if (mine and person.role >= Role.PRODUCT) or person.role >= Role.ADMIN:
        st.button(
            "Delete note",
            icon=":material/delete:",
            type="tertiary",
            key=f"note_delete_{item.id}",
            on_click=_delete,
            args=(item.id,),
        )


def _delete(mention_id: int) -> None:
    with look.telling_errors_later():
        undo_id = notes.delete(context.ctx(), context.actor(), mention_id)
        state.tell("The note is gone.", undo_id=undo_id, undo_of="notes")
        state.open_up("going_to", "inbox")


def show_editing(items: tuple[conversations.Item, ...]) -> None:
    """The dialog of the note that is being changed, where one is."""
    opened = state.opened("note_edit")
    item = next((one for one in items if one.id == opened and one.noted is not None), None)
    if item is not None:
        show_edit(item)


@st.dialog("Edit note", width="large", icon=":material/edit:", on_dismiss=lambda: state.close_up("note_edit"))
def show_edit(item: conversations.Item) -> None:
    """Its words and where they were heard."""
    words = st.text_area("What they said", item.text, key=f"note_words_{item.id}", height=160, max_chars=notes.LONGEST)
    heard = show_heard(item.noted.heard if item.noted and item.noted.heard in notes.HEARD else "other", "note_reheard")
    st.caption("What it said before is kept as an edit, and it is read anew.")
    if st.button("Save", type="primary", icon=":material/check:", key="note_save"):
        with look.telling_errors():
            notes.edit(context.ctx(), context.actor(), item.id, words, heard)
            state.close_up("note_edit")
            state.tell("The note was changed.")
            st.rerun()
