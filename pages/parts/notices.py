"""What was just done, with the way back; and what waits for the worker, with its progress."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dialogue import feedback, folding, health, inbox, notes, requests, spam, themes
from pages.parts import context, look, state, text


def show() -> None:
    """The notice of the last click. An undo stays until something else is done."""
    told = state.notice()
    if told is None:
        return
    if told.kind == "error":
        state.forget_notice()
        st.error(text.plain_lines(told.words, 1_000), icon=":material/error:")
    elif told.undo_id is None:
        state.forget_notice()
        st.toast(text.plain(told.words), icon=":material/check:")
    else:
        _show_undo(told)


def _show_undo(told: state.Notice) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="undo-bar"):
        st.markdown(f":material/check: {text.plain(told.words)}")
        st.button("Undo", icon=":material/undo:", key="undo", on_click=_undo, args=(told,))
        st.button(
            "",
            icon=":material/close:",
            type="tertiary",
            key="undo_close",
            help="Keep it as it is",
            on_click=state.forget_notice,
        )


def _undo(told: state.Notice) -> None:
    state.forget_notice()
    with look.telling_errors_later():
        if told.undo_of == "feedback":
            feedback.undo_delete(context.ctx(), context.actor(), told.undo_id)
            state.tell("It stands on the board again.")
            return
        if told.undo_of == "notes":
            notes.undo_delete(context.ctx(), context.actor(), told.undo_id)
            state.tell("The note is back; it is read anew.")
            return
        if told.undo_of == "themes":
            name = themes.undo_dismiss(context.ctx(), context.actor(), told.undo_id)
            state.tell(f"“{text.shorten(name, 60)}” is back.")
            return
        if told.undo_of == "copies":
            folding.undo(context.ctx(), context.actor(), told.undo_id)
            state.tell("Taken back: where it is a copy, it is folded again.")
            return
        change = spam.undo if told.undo_of == "aside" else inbox.undo
        restored = change(context.ctx(), context.actor(), told.undo_id)
        kept = "Nothing taken back: somebody has changed it since."
        state.tell(f"Taken back: {text.counted(restored, 'conversation')}." if restored else kept)


def show_worker() -> None:
    """Says so when no worker lives: then nothing is collected, read or sent. And what one that lives has to say."""
    beat = health.worker(context.ctx())
    if not beat.alive:
        st.warning(text.plain(beat.words), icon=":material/warning:")
    elif beat.notice:
        st.warning(text.plain(beat.notice, 600), icon=":material/warning:")


def adopt(name: str, *kinds: str) -> None:
    """Goes on waiting for what this person asked for in another tab, or before the page was loaded anew."""
    if state.request(name) is None:
        running = [one.id for one in requests.active(context.ctx(), context.actor()) if one.kind in kinds]
        state.set_request(name, running[0] if running else None)


def wait_for(name: str, *, done: Callable[[requests.RequestView], None] | None = None, cancel: bool = True) -> None:
    """Shows the progress of the request that this tab waits for under `name`; redraws itself, not the page.

    `done` draws the result; without it the page is rerun and a notice tells.
    """
    request_id = state.request(name)
    if request_id is None:
        return
    view = requests.get(context.ctx(), request_id)
    if view.state in ("waiting", "running"):
        _progress(name, request_id, cancel)
    elif view.state == "done" and done is not None:
        done(view)
    else:
        _end(name, view)


def _end(name: str, view: requests.RequestView) -> None:
    state.set_request(name, None)
    if view.state == "done":
        st.success(text.plain(view.words or "Done."), icon=":material/check:")
    elif view.state == "cancelled":
        st.info("Cancelled.", icon=":material/cancel:")
    else:
        st.error(text.plain_lines(f"{view.error}\n{view.what_to_do}".strip(), 1_000), icon=":material/error:")


@st.fragment(run_every=1.0)
def _progress(name: str, request_id: int, cancel: bool) -> None:
    view = requests.get(context.ctx(), request_id)
    if view.state not in ("waiting", "running"):
        st.rerun()
    with st.container(border=True, key=f"progress-{name}"):
        words = text.plain(view.words or ("Waiting for the worker" if view.state == "waiting" else "Working"))
        if view.total:
            st.progress(min(1.0, view.done / view.total), f"{words} · {view.done:,} of {view.total:,}")
        else:
            st.markdown(f":material/hourglass_top: {words}" + (f" · {view.done:,}" if view.done else ""))
        if view.state == "waiting":
            show_worker()
        if cancel and st.button("Cancel", key=f"cancel_{name}", type="tertiary"):
            with look.telling_errors():
                requests.cancel(context.ctx(), context.actor(), request_id)
                st.rerun()
