"""What to listen for: typed in the one query language, explained while it is typed, looked at on real posts, saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from dialogue import querying, requests, sources
from pages.parts import context, look, notices, state, text

EXAMPLE = 'acme ("tea kettle" OR teapot) -sale'
HELP = (
    "Words, all of which must occur; OR; -word or NOT; phrases in quotation marks; deliver* for words that begin so; "
    "acme NEAR/5 broken; author:, lang: and source:; parentheses."
)
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Typed:
    """What is being added or edited, and under which keys the session holds what was typed for it."""

    platform: str
    mode: str
    searches: bool
    account_id: int | None = None
    source_id: int | None = None
    """Of the source that is edited; None while one is added."""

    def key(self, what: str) -> str:
        """query, label, raw or only."""
        of = "add" if self.source_id is None else f"edit{self.source_id}"
        return f"{of}_{what}_{self.platform}_{self.mode}"

    # Read at the click: it may come before the page was drawn with what was typed last.

    def words(self, what: str) -> str:
        """What stands in a field."""
        return str(st.session_state.get(self.key(what)) or "").strip()

    @property
    def raw(self) -> bool:
        """Whether a search is written in the platform's own syntax."""
        return self.searches and bool(st.session_state.get(self.key("raw")))

    def options(self) -> dict[str, Any]:
        """How the query is meant."""
        options: dict[str, Any] = {querying.SYNTAX: querying.PLATFORMS} if self.raw else {}
        if (self.raw or not self.searches) and (only := self.words("only")):
            options[querying.ONLY] = only
        return options


def show(info: sources.PlatformInfo, account_id: int | None) -> None:
    """What to listen for; a look first, then add."""
    mode = _chosen_mode(info, f"add_mode_{info.platform}")
    typed = Typed(info.platform, mode.name, mode.searches, account_id)
    _show_fields(info, mode, typed)
    with st.container(horizontal=True, key="add-buttons"):
        st.button("Look what it finds", icon=":material/visibility:", key="look", on_click=_look, args=(typed,))
        st.button(
            "Add it", icon=":material/add:", type="primary", key="add_go", on_click=_add, args=(typed, mode.label)
        )
    _show_what_it_does(info, mode, typed)


def show_edit(info: sources.PlatformInfo, one: sources.SourceView, written: sources.Written) -> None:
    """The same for a source that listens already: what an edit means, a look first, then save."""
    with st.container(border=True, key="editing"):
        mode = _chosen_mode(info, f"edit_mode_{one.id}", written.mode)
        typed = Typed(info.platform, mode.name, mode.searches, source_id=one.id)
        _show_fields(info, mode, typed, written)
        st.caption(f":material/info: {text.plain(sources.edit_words(info.platform, mode.name), 400)}")
        if one.looks_back:
            st.toggle("Then read further back with it", key=f"edit_back_{one.id}")
        with st.container(horizontal=True, key="edit-buttons"):
            st.button("Look what it finds", icon=":material/visibility:", key="look", on_click=_look, args=(typed,))
            st.button(
                "Save", icon=":material/check:", type="primary", key="edit_go", on_click=_edit, args=(typed, mode.label)
            )
            st.button("Cancel", type="tertiary", key="edit_cancel", on_click=_close)
        _show_what_it_does(info, mode, typed)


def _chosen_mode(info: sources.PlatformInfo, key: str, now: str = "") -> sources.ModeInfo:
    modes = {one.name: one for one in info.modes}
    first = now if now in modes else next(iter(modes))
    if len(modes) == 1:
        return modes[first]
    chosen = st.segmented_control(
        "What",
        list(modes),
        format_func=lambda one: text.plain(modes[one].label, 60),
        default=first,
        required=True,
        key=key,
        label_visibility="collapsed",
    )
    return modes[chosen or first]


NOTHING_YET = sources.Written("", "", "", False, "")


def _show_fields(
    info: sources.PlatformInfo, mode: sources.ModeInfo, typed: Typed, written: sources.Written = NOTHING_YET
) -> None:
    """The query and a name; what was `written` stands in them where it is of this mode."""
    of_it = written if written.mode == mode.name else NOTHING_YET
    if mode.query_label:
        _show_query(info, mode, typed, of_it)
    st.text_input(
        "Name of this source here",
        "" if written.label == written.query else written.label,
        key=typed.key("label"),
        max_chars=100,
        placeholder=typed.words("query") or of_it.query or mode.label,
    )


def _show_query(info: sources.PlatformInfo, mode: sources.ModeInfo, typed: Typed, written: sources.Written) -> None:
    raw = typed.raw if typed.key("raw") in st.session_state else written.raw
    common = mode.searches and not raw
    st.text_input(
        mode.query_label,
        written.query,
        key=typed.key("query"),
        help=" ".join(filter(None, (mode.help, HELP if common else ""))) or None,
        max_chars=1_000,
        placeholder=EXAMPLE if common else info.search_syntax or None,
    )
    if mode.searches:
        st.toggle(
            f"Written in {text.plain(info.title, 60)}'s own syntax",
            written.raw,
            key=typed.key("raw"),
            help=text.plain(info.search_syntax) or None,
        )
    if not common:
        st.text_input(
            "Only what matches (optional)",
            written.only,
            key=typed.key("only"),
            help=HELP,
            max_chars=500,
            placeholder=EXAMPLE,
        )


def _show_what_it_does(info: sources.PlatformInfo, mode: sources.ModeInfo, typed: Typed) -> None:
    if mode.query_label:
        # Below the buttons: above them it would push a button away from under the pointer that clicks it.
        show_explained(info, sources.explain(typed.platform, typed.words("query"), typed.mode, typed.options()))
    notices.wait_for("preview", done=show_found)


def show_explained(info: sources.PlatformInfo, explained: sources.Explained) -> None:
    """What the platform will be asked and what is done here; or what is wrong with the query, and where."""
    if explained.problem:
        look.problem(explained.problem, explained.pointer)
    if explained.asked:
        show_asked(f"{info.title} is asked for", explained.asked, explained.notes)


def show_asked(title: str, asked: Any, notes: Any) -> None:
    """The searches in the platform's own words, and sentences on what it cannot express."""
    with st.container(key="asked", gap="xxsmall"):
        st.caption(f":material/search: {text.plain(title, 100)}")
        st.code("\n".join(text.tidy(str(one)) for one in asked), language=None, wrap_lines=True)
        for note in notes:
            st.caption(f":material/filter_alt: {text.plain(str(note), 700)}")


def show_found(view: requests.RequestView) -> None:
    """The first posts that the query finds, and some that the platform sent and the query does not mean."""
    result = view.result
    posts, left_out = result.get("posts", []), result.get("left_out", [])
    with st.container(border=True, key="found", gap="xsmall"):
        st.markdown(f":material/visibility: **{text.plain(view.words or 'This is what it finds')}**")
        if result.get("asked"):
            st.caption("Asked for: " + text.plain(" · ".join(map(str, result["asked"])), 700))
        if not posts:
            st.caption("Nothing was found. Try fewer or other words.")
        for post in posts[:SHOWN]:
            st.markdown(f"{_who_and_when(post)}  \n" + text.plain(str(post.get("text", "")), 240))
        if left_out:
            st.caption(":material/filter_alt: Left out here, for example:")
        for post in left_out:
            st.caption(f"{_who_and_when(post)}  \n" + text.plain(str(post.get("text", "")), 160))


def _who_and_when(post: Any) -> str:
    return f"**{text.plain(str(post.get('author', '')), 60)}** {look.grey(str(post.get('when', '')))}"


def _look(typed: Typed) -> None:
    asked = (typed.words("query"), typed.mode)
    with look.telling_errors_later():
        ctx, person = context.ctx(), context.actor()
        if typed.source_id is not None:
            request_id = sources.request_preview_of(ctx, person, typed.source_id, *asked, typed.options())
        else:
            request_id = sources.request_preview(ctx, person, typed.platform, *asked, typed.account_id, typed.options())
        state.set_request("preview", request_id)


def _edit(typed: Typed, otherwise: str) -> None:
    assert typed.source_id is not None
    label = typed.words("label") or typed.words("query") or otherwise
    with look.telling_errors_later():
        words = sources.edit(
            context.ctx(), context.actor(), typed.source_id, typed.words("query"), typed.mode, label, typed.options()
        )
        further_back = st.session_state.get(f"edit_back_{typed.source_id}")
        _close()
        if further_back:
            state.open_up("back", typed.source_id)
        state.tell(f"{label} is changed. {words}")


def _close() -> None:
    state.set_request("preview", None)
    state.close_up("edit")


def _add(typed: Typed, otherwise: str) -> None:
    label = typed.words("label") or typed.words("query") or otherwise
    with look.telling_errors_later():
        sources.add(
            context.ctx(), context.actor(), typed.platform, typed.words("query"), typed.mode, label, typed.account_id,
            typed.options(),
        )  # fmt: skip
        state.set_request("preview", None)
        state.close_up("adding")
        state.tell(f"{label} listens now. The first mentions appear within a minute.")
