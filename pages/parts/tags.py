"""What the model understood, and its correction in one click."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dialogue import inbox
from dialogue.context import Role
from pages.parts import context, look, state, text


def label(sentiment: str | None, intent: str | None, topics: Sequence[str]) -> str:
    """Markdown: the mark of the sentiment, the intent and at most two topics."""
    if sentiment is None:
        return ":gray[not read yet]"
    words = [text.plain(word, 40) for word in [intent or "", *topics[:2]] if word]
    more = f" +{len(topics) - 2}" if len(topics) > 2 else ""
    mark = f":{look.COLOURS.get(sentiment, 'gray')}[{look.MARKS.get(sentiment, '●')}]"
    return f"{mark} :gray[{' · '.join(words)}{more}]"


def correct(
    mention_id: int | None,
    sentiment: str | None,
    intent: str | None,
    topics: Sequence[str],
    corrected: Sequence[str],
    known_topics: Sequence[str],
) -> None:
    """A quiet button with the tags; opened, one click corrects each. Nothing inside is drawn while it is closed."""
    words = label(sentiment, intent, topics)
    if mention_id is None or sentiment is None or not context.may(Role.PRODUCT):
        st.markdown(words)
        return
    pop = st.popover(words, type="tertiary", key=f"tags_{mention_id}", on_change="rerun", help="Correct these tags")
    if not pop.open:
        return
    with pop:
        _pills(mention_id, "sentiment", "Mood", state.SENTIMENTS, sentiment)
        _pills(mention_id, "intent", "Intent", state.INTENTS, intent)
        _topics(mention_id, topics, known_topics)
        if corrected:
            st.caption("A colleague said so: " + ", ".join(text.plain(field, 40) for field in corrected))
            st.button(
                "Back to what the model said",
                key=f"withdraw_{mention_id}",
                icon=":material/undo:",
                type="tertiary",
                on_click=_withdraw,
                args=(mention_id, tuple(corrected)),
            )


def _pills(mention_id: int, field: str, words: str, options: Sequence[str], value: str | None) -> None:
    key = f"correct_{field}_{mention_id}"
    st.session_state[key] = value
    st.pills(words, options, key=key, on_change=_save_one, args=(mention_id, field, key))


def _topics(mention_id: int, topics: Sequence[str], known: Sequence[str]) -> None:
    key = f"correct_topics_{mention_id}"
    st.session_state[key] = list(topics)
    options = list(dict.fromkeys([*known, *topics]))
    st.pills(
        "Topics",
        options,
        selection_mode="multi",
        format_func=lambda name: text.plain(name, 60),
        key=key,
        on_change=_save_many,
        args=(mention_id, key),
    )


def _save_one(mention_id: int, field: str, key: str) -> None:
    value = st.session_state[key]
    if value:  # A click on the chosen pill unchooses it; that is no correction.
        with look.telling_errors_later():
            inbox.correct(context.ctx(), context.actor(), mention_id, field, value)


def _save_many(mention_id: int, key: str) -> None:
    with look.telling_errors_later():
        inbox.correct(context.ctx(), context.actor(), mention_id, "topics", tuple(st.session_state[key]))


def _withdraw(mention_id: int, fields: Sequence[str]) -> None:
    with look.telling_errors_later():
        for field in fields:
            inbox.withdraw(context.ctx(), context.actor(), mention_id, field)
