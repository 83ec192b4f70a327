"""Topics: what mentions can be about, in words; changed as a draft, seen as a preview, then applied to all mentions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import streamlit as st

from dialogue import requests, topics
from dialogue.context import Actor, Context, Role
from dialogue.inbox import Filters
from dialogue.topics import Draft, Taxonomy, TopicView
from pages.parts import context, look, notices, state, text

EMPTY = "There are no topics yet. Add the first: a name, and a few short phrases in the words that people use."
NEW = "A topic of its own"
PHRASES_HELP = "One a line, short, in the words that people use. The nearest phrase counts, not their average."
EXAMPLES_HELP = (
    "Whole texts, one a line. What people confirm or correct in the inbox teaches the topic by itself; type here only "
    "what is not among the mentions."
)
FILE_HELP = (
    "The file that `python -m analysis --topics` reads: TOML or JSON. It becomes a draft; nothing is applied yet."
)


# Loader: never draws --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def load_taxonomy(scope: context.Scope, _ctx: Context, _person: Actor) -> Taxonomy:
    """The topics in force, each with how it did."""
    return topics.taxonomy(_ctx, _person)


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def load_quotes(
    scope: context.Scope, mention_ids: tuple[int, ...], _ctx: Context, _person: Actor
) -> dict[int, topics.Quote]:
    """What these mentions say, those that are still here."""
    return topics.quotes(_ctx, _person, mention_ids)


# The draft: kept in this tab until it is applied ----------------------------------------------------------------------


def drafts(found: Taxonomy) -> tuple[Draft, ...]:
    """The topics as this tab would have them."""
    kept = state.opened("topic_drafts")
    return kept[1] if kept else found.drafts


def outdated(found: Taxonomy) -> bool:
    """Whether somebody changed the topics since the draft was begun."""
    kept = state.opened("topic_drafts")
    return bool(kept) and kept[0] != found.version


def keep(found: Taxonomy, wanted: Sequence[Draft]) -> None:
    """Makes these the draft."""
    kept = state.opened("topic_drafts")
    state.open_up("topic_drafts", (kept[0] if kept else found.version, tuple(wanted)))


def discard() -> None:
    """Back to the topics in force."""
    state.close_up("topic_drafts")
    state.set_request("preview_topics", None)


def _add_phrase(found: Taxonomy, name: str, phrase: str) -> None:
    wanted = [
        replace(one, phrases=(*one.phrases, phrase)) if one.name == name and phrase not in one.phrases else one
        for one in drafts(found)
    ]
    keep(found, wanted)


def _new_topic(found: Taxonomy, phrase: str) -> None:
    name = text.shorten(phrase, topics.LONGEST_NAME)
    keep(found, [*drafts(found), Draft(name[:1].upper() + name[1:], (phrase,))])
    state.open_up("topic", len(drafts(found)) - 1)


def _take_out(found: Taxonomy, name: str, phrase: str) -> None:
    wanted = [
        replace(one, phrases=tuple(other for other in one.phrases if other != phrase)) if one.name == name else one
        for one in drafts(found)
    ]
    keep(found, wanted)


# The list: views never load -------------------------------------------------------------------------------------------


def show_top(found: Taxonomy, may: bool) -> None:
    """Title, what people made of the topics, and the ways to change them."""
    left, right = st.columns([0.55, 0.45], vertical_alignment="center")
    with left:
        look.heading("Topics", top_words(found))
    with right, st.container(horizontal=True, horizontal_alignment="right", key="topics-top"):
        with st.popover("File", icon=":material/description:", type="tertiary"):
            st.download_button(
                "Download as TOML",
                topics.as_file(context.ctx(), context.actor()),
                "topics.toml",
                "application/toml",
                icon=":material/download:",
                key="topics_file",
            )
            if may:
                st.button("Paste a file", icon=":material/content_paste:", key="paste", on_click=_open, args=("paste",))
        if may:
            st.button(
                "Suggestions",
                icon=":material/tips_and_updates:",
                key="suggest",
                on_click=_suggest,
                help="Phrases that people use and no topic has yet, and topics that get in each other's way",
            )
            st.button(
                "Add a topic",
                icon=":material/add:",
                type="primary",
                key="add_topic",
                on_click=_open,
                args=("topic", -1),
            )


def _open(what: str, value: Any = True) -> None:
    state.open_up(what, value)


def top_words(found: Taxonomy) -> str:
    """The sentence below the title."""
    if not found.topics:
        return "What mentions can be about, in your words."
    changed = sum(one.added + one.taken_away for one in found.topics)
    looked = changed + sum(one.confirmed for one in found.topics)
    words = f"{text.counted(len(found.topics), 'topic')}, described in words"
    if not looked:
        return f"{words}. Nobody has checked them on the last {topics.DAYS} days' mentions yet."
    return f"{words}. People checked {text.counted(looked, 'tag')} in {topics.DAYS} days and changed {changed:,}."


def show_topics(found: Taxonomy, wanted: Sequence[Draft], may: bool) -> None:
    """Every topic as this tab would have it."""
    if not wanted:
        look.nothing(EMPTY, ":material/label:")
        return
    stored = {one.id: one for one in found.topics}
    for place, draft in enumerate(wanted):
        show_topic(place, draft, stored.get(draft.id), may)
    for gone in [one for one in found.topics if one.id not in {draft.id for draft in wanted}]:
        with st.container(
            horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key=f"gone-{gone.id}"
        ):
            st.markdown(f":gray[~~{text.plain(gone.name, 80)}~~] " + look.badge("deleted once applied", "red"))
            st.button(
                "Keep it", key=f"keep_{gone.id}", type="tertiary", on_click=keep, args=(found, [*wanted, gone.draft])
            )


def show_topic(place: int, draft: Draft, stored: TopicView | None, may: bool) -> None:
    """One line: its name, how it did, its phrases."""
    with st.container(
        horizontal=True, vertical_alignment="top", horizontal_alignment="distribute", key=f"topic-{place}"
    ):
        with st.container(key=f"topicsaid-{place}", gap=None):
            mark = look.badge("new", "blue") if stored is None else ""
            mark = look.badge("changed", "orange") if stored is not None and stored.draft != draft else mark
            st.markdown(f"**{text.plain(draft.name, 80)}** {mark} {look.grey(topic_words(stored)) if stored else ''}")
            st.markdown(look.small(" · ".join(draft.phrases[:5]) + more(len(draft.phrases) - 5)))
        with st.container(horizontal=True, width="content", key=f"topicdoes-{place}"):
            if stored is not None and stored.mentions:
                st.button(
                    "Mentions",
                    key=f"mentions_{place}",
                    type="tertiary",
                    on_click=_open,
                    args=("topic_mentions", stored.name),
                )
            if may:
                st.button(
                    "Edit", key=f"edit_{place}", type="tertiary", icon=":material/edit:", on_click=_open,
                    args=("topic", place),
                )  # fmt: skip


def more(count: int) -> str:
    """' and 3 more', or nothing."""
    return f" and {count} more" if count > 0 else ""


def topic_words(one: TopicView) -> str:
    """How it did: mentions in the last days, what people changed, what it learned."""
    words = [text.counted(one.mentions, "mention")]
    if one.share_corrected:
        changes = [f"{one.added} given" if one.added else "", f"{one.taken_away} taken away" if one.taken_away else ""]
        words.append(f"{one.share_corrected:.0%} corrected ({', '.join(filter(None, changes))})")
    if one.learned:
        words.append(f"learned from {text.counted(one.learned, 'correction')}")
    return " · ".join(words)


# One topic ------------------------------------------------------------------------------------------------------------


def show_form(found: Taxonomy, wanted: Sequence[Draft], place: int) -> None:
    """Name, phrases, examples, its place; and the way out of the list. Nothing is applied from here."""
    draft = wanted[place] if 0 <= place < len(wanted) else Draft("", ())
    stored = next((one for one in found.topics if one.id == draft.id), None)
    with st.form(f"topic_form_{place}", border=False):
        name = st.text_input(
            "Name", draft.name, max_chars=topics.LONGEST_NAME, key=f"topic_name_{place}", placeholder="Delivery"
        )
        phrases = st.text_area(
            "Phrases",
            "\n".join(draft.phrases),
            height=220,
            help=PHRASES_HELP,
            key=f"topic_phrases_{place}",
            placeholder="my parcel has not arrived\nthe package was late\nhow long does shipping take",
        )
        st.caption("One a line, short, as people say it.")
        examples = st.text_area(
            "Examples typed by hand (optional)",
            "\n".join(draft.examples),
            height=90,
            help=EXAMPLES_HELP,
            key=f"topic_examples_{place}",
        )
        if stored is not None and stored.learned:
            learned = text.counted(stored.learned, "mention")
            st.caption(f"Besides these it is compared with {learned} that people gave it or confirmed.")
        last = len(wanted) + (place < 0)
        stands = st.number_input(
            "Place in the list",
            1,
            max(last, 1),
            place + 1 if place >= 0 else last,
            key=f"topic_place_{place}",
            width=140,
        )
        if st.form_submit_button("Keep in the draft", type="primary", icon=":material/check:"):
            with look.telling_errors():
                made = Draft(name, tuple(phrases.splitlines()), tuple(examples.splitlines()), draft.id)
                others = [one for number, one in enumerate(wanted) if number != place]
                keep(found, topics.checked([*others[: stands - 1], made, *others[stands - 1 :]]))
                state.close_up("topic")
                st.rerun()
    if place >= 0:
        show_delete(found, wanted, place, stored)


def show_delete(found: Taxonomy, wanted: Sequence[Draft], place: int, stored: TopicView | None) -> None:
    """Says what becomes of the mentions before anybody deletes."""
    with st.expander("Delete this topic", icon=":material/delete:"):
        if stored is not None:
            st.markdown(
                f"Once applied, its mentions lose it ({text.counted(stored.mentions, 'mention')} in the last "
                f"{topics.DAYS} days); no mention is deleted. What people said of it is kept and counts again if you "
                "put the topic back."
            )
        if st.button("Delete in the draft", key=f"delete_{place}", disabled=len(wanted) < 2):
            keep(found, [one for number, one in enumerate(wanted) if number != place])
            state.close_up("topic")
            st.rerun()


@st.dialog("Paste a file of topics", width="large", on_dismiss=lambda: state.close_up("paste"))
def show_paste(found: Taxonomy) -> None:
    """A taxonomy from a file becomes the draft."""
    st.caption(FILE_HELP)
    with st.form("paste_form", border=False):
        pasted = st.text_area("The file's text", height=280, key="pasted", max_chars=topics.LONGEST_FILE)
        if st.form_submit_button("Make it the draft", type="primary"):
            with look.telling_errors():
                keep(found, topics.from_file(pasted, found.drafts))
                state.close_up("paste")
                st.rerun()


# What is not applied yet ----------------------------------------------------------------------------------------------


def show_draft(found: Taxonomy, wanted: Sequence[Draft], said: Sequence[str]) -> None:
    """What the draft changes, its preview, and the way to apply it."""
    with st.container(border=True, key="topic-draft"):
        st.markdown("**Not applied yet** " + look.grey("kept in this tab only"))
        st.markdown("\n".join(f"- {text.plain(words, 160)}" for words in said))
        if outdated(found):
            st.warning(topics.CHANGED, icon=":material/sync_problem:")
            st.button("Start from theirs", key="discard", type="primary", on_click=discard)
            return
        seen = previewed(wanted)
        with st.container(horizontal=True):
            st.button(
                "Preview", icon=":material/visibility:", key="preview", type="secondary" if seen else "primary",
                on_click=_preview, args=(found, wanted),
            )  # fmt: skip
            st.button(
                "Apply",
                icon=":material/done_all:",
                key="apply",
                type="primary" if seen else "secondary",
                disabled=not seen,
                help=None if seen else "Look at the preview first",
                on_click=_apply,
                args=(found, wanted),
            )
            st.button("Discard", key="discard", type="tertiary", on_click=discard)
        notices.wait_for("preview_topics", done=lambda view: show_preview(view, found, wanted))


def previewed(wanted: Sequence[Draft]) -> bool:
    """Whether the preview in this tab is one of exactly this draft."""
    request_id = state.request("preview_topics")
    if request_id is None:
        return False
    view = requests.get(context.ctx(), request_id)
    return view.state == "done" and view.result.get("digest") == topics.digest(wanted)


def _preview(found: Taxonomy, wanted: Sequence[Draft]) -> None:
    with look.telling_errors_later():
        ready = topics.checked(wanted)
        keep(found, ready)
        request_id = topics.preview(context.ctx(), context.actor(), ready, state.opened("topic_drafts")[0])
        state.set_request("preview_topics", request_id)


def _apply(found: Taxonomy, wanted: Sequence[Draft]) -> None:
    with look.telling_errors_later():
        request_id = topics.apply(context.ctx(), context.actor(), wanted, found.version)
        state.set_request("apply_topics", request_id)


def show_preview(view: requests.RequestView, found: Taxonomy, wanted: Sequence[Draft]) -> None:
    """What would change among the newest mentions, with some of them."""
    result = view.result
    if result["digest"] != topics.digest(wanted):
        st.caption(":material/history: The draft has changed since this preview. Look again.")
        return
    st.markdown(f"**Among the newest {text.counted(result['read'], 'mention')}**")
    if not result["read"]:
        st.caption("There are no mentions to try it on yet.")
    elif result["unread"]:
        st.caption(
            f"{text.counted(result['unread'], 'mention')} of them were read by another model and keep their topics."
        )
    touched = {one.name for one in set(wanted) - set(found.drafts)}
    moved = [one for one in result["topics"] if one["gains"] or one["loses"]]
    moved.sort(key=lambda one: (one["name"] not in touched, -one["gains"] - one["loses"]))
    ids = tuple(id_ for one in moved for id_ in (*one["gained"], *one["lost"]))
    quotes = load_quotes(context.scope(context.actor()), ids, context.ctx(), context.actor())
    for one in moved:
        show_moved(one, quotes)
    for gone in result["deleted"]:
        st.markdown(
            f"**{text.plain(gone['name'], 80)}** {gone['now']:,} → 0 "
            + look.grey(f"{gone['left_without']:,} of them would have no topic")
        )
    if not moved and not result["deleted"] and result["read"]:
        st.markdown("No mention would get another topic.")
    if any(one["name"] not in touched for one in moved):
        st.caption(
            "Topics that you did not touch move by what corrections have taught since, and where a nearer topic takes "
            "their place."
        )
    then = f"{result['none_now']:,} → {result['none_then']:,}"
    st.caption(f"Without any topic: {then}. Corrections by people stay as they are.")
    show_clashes(result["clashes"], None)


def show_moved(one: dict[str, Any], quotes: dict[int, topics.Quote]) -> None:
    """One topic's gains and losses."""
    gains = f":green[+{one['gains']:,}]" if one["gains"] else ""
    loses = f":red[−{one['loses']:,}]" if one["loses"] else ""
    st.markdown(f"**{text.plain(one['name'], 80)}** {one['now']:,} → {one['then']:,} {gains} {loses}")
    for words, ids, of in (
        ("would get it", one["gained"], one["gains"]),
        ("would lose it", one["lost"], one["loses"]),
    ):
        here = [quotes[id_] for id_ in ids if id_ in quotes]
        if here:
            with st.expander(f"{len(here)} of {of:,} that {words}" if of > len(here) else f"{of:,} that {words}"):
                for quote in here:
                    look.quote(quote.text, limit=280)
                    st.markdown(look.small("now: " + (", ".join(quote.topics) or "no topic")))


# When nothing is being changed ----------------------------------------------------------------------------------------


def show_last_change(found: Taxonomy, now: datetime) -> None:
    """What was changed last, with the way back; and re-tagging with what was learned since."""
    with st.container(border=True, key="topic-history"):
        if found.before is not None:
            who = text.plain(found.before.who or "Samtal", 60)
            st.markdown(f"**Last change** {look.grey(f'by {who}, {text.when(found.before.at, now)}')}")
            st.markdown(text.plain(found.before.words, 400))
            st.button(
                "Undo", icon=":material/undo:", key="put_back", on_click=_put_back, args=(found.version,),
                help="Puts the topics back as they were before, and re-tags the mentions",
            )  # fmt: skip
        st.markdown("**Corrections teach topics at once, for what comes.** What is here already keeps its tags.")
        if not found.mentions:
            return
        st.button(
            "Re-tag all with what was learned",
            icon=":material/sync:",
            key="retag",
            on_click=_apply,
            args=(found, found.drafts),
            disabled=not found.topics,
        )


def _put_back(version: int) -> None:
    with look.telling_errors_later():
        state.set_request("apply_topics", topics.put_back(context.ctx(), context.actor(), version))


def _suggest() -> None:
    with look.telling_errors_later():
        state.set_request("suggest_topics", topics.suggest(context.ctx(), context.actor()))


def show_suggestions(view: requests.RequestView, found: Taxonomy) -> None:
    """Phrases to add in one click, and what gets in each other's way."""
    result, names = view.result, {one.name for one in drafts(found)}
    everything = [*(one for said in result["topics"].values() for one in said), *result["without"]]
    ids = tuple(one["ids"][0] for one in everything)
    quotes = load_quotes(context.scope(context.actor()), ids, context.ctx(), context.actor())
    with st.container(border=True, key="suggestions"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**Suggestions** " + look.grey(f"from {text.counted(result['read'], 'mention')}"))
            st.button(
                "", icon=":material/close:", type="tertiary", key="suggestions_close", help="Close",
                on_click=state.set_request, args=("suggest_topics", None),
            )  # fmt: skip
        if not any(result[part] for part in ("topics", "without", "clashes", "overlaps")):
            st.caption("Nothing to suggest: too few people have said the same. Ask again when more has come in.")
        for name, suggested in result["topics"].items():
            if name in names:
                st.markdown(f"**{text.plain(name, 80)}** {look.grey('people also say')}")
                with st.container(horizontal=True, gap="xsmall", key=f"suggested-{name}"):
                    for one in suggested:
                        show_suggestion(found, name, one, quotes)
        if result["without"]:
            st.markdown("**No topic yet** " + look.grey("what people say in mentions without one"))
            for one in result["without"]:
                show_strange(found, one, quotes)
        show_clashes(result["clashes"], found)
        for one, other, both, rarer in result["overlaps"]:
            st.markdown(
                f":material/join_inner: **{text.plain(one, 80)}** and **{text.plain(other, 80)}** often come together: "
                f"{both:,} of {rarer:,} mentions."
            )
        st.caption("Mentions on platforms that do not let a model learn from them are left out.")


def used(found: Taxonomy, phrase: str) -> bool:
    """Whether the draft has that phrase already."""
    return any(phrase in one.phrases for one in drafts(found))


def said_words(one: dict[str, Any], quotes: dict[int, topics.Quote]) -> str:
    """How many say it, and what the nearest of them wrote."""
    words = f"{text.counted(one['people'], 'person', 'people')}, {text.counted(one['texts'], 'mention')}"
    quote = quotes.get(one["ids"][0])
    return f"{words}: “{text.plain(quote.text, 200)}”" if quote is not None else words


def show_suggestion(found: Taxonomy, name: str, one: dict[str, Any], quotes: dict[int, topics.Quote]) -> None:
    """One phrase, added to its topic by a click."""
    st.button(
        text.plain(one["phrase"], 60),
        icon=":material/check:" if used(found, one["phrase"]) else ":material/add:",
        key=f"say_{name}_{one['phrase']}",
        help=said_words(one, quotes),
        disabled=used(found, one["phrase"]),
        on_click=_add_phrase,
        args=(found, name, one["phrase"]),
    )


def show_strange(found: Taxonomy, one: dict[str, Any], quotes: dict[int, topics.Quote]) -> None:
    """One phrase that belongs to no topic yet, and where to put it."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"strange-{one['phrase']}", gap="small"):
        key = f"put_{one['phrase']}"
        st.menu_button(
            text.plain(one["phrase"], 60),
            [NEW, *(draft.name for draft in drafts(found))],
            key=key,
            icon=":material/check:" if used(found, one["phrase"]) else ":material/add:",
            disabled=used(found, one["phrase"]),
            format_func=lambda name: name if name == NEW else text.plain(name, 60),
            help=said_words(one, quotes),
            on_click=_put,
            args=(found, one["phrase"], key),
        )
        st.markdown(look.small(f"{one['people']} people, {text.counted(one['texts'], 'mention')}"))


def _put(found: Taxonomy, phrase: str, key: str) -> None:
    chosen = st.session_state[key]
    if chosen == NEW:
        _new_topic(found, phrase)
    else:
        _add_phrase(found, chosen, phrase)


def show_clashes(clashes: Sequence[Sequence[Any]], found: Taxonomy | None) -> None:
    """Phrases of two topics that say nearly the same; with `found`, the way to take one out."""
    for number, (one, phrase, other, like, cosine) in enumerate(clashes):
        if found is not None and not all(_has(found, *pair) for pair in ((one, phrase), (other, like))):
            continue
        st.markdown(
            f":material/compare_arrows: “{text.plain(phrase, 80)}” ({text.plain(one, 60)}) and “{text.plain(like, 80)}”"
            f" ({text.plain(other, 60)}) say nearly the same {look.grey(f'{cosine:.0%} alike')}"
        )
        if found is not None:
            with st.container(horizontal=True, gap="xsmall"):
                for name, words in ((one, phrase), (other, like)):
                    st.button(
                        f"Take out of {text.plain(name, 40)}",
                        key=f"clash_{number}_{name}",
                        type="tertiary",
                        on_click=_take_out,
                        args=(found, name, words),
                    )


def _has(found: Taxonomy, name: str, phrase: str) -> bool:
    return any(one.name == name and phrase in one.phrases for one in drafts(found))


def applied(view: requests.RequestView) -> None:
    """The change is in force: the draft has had its time."""
    state.set_request("apply_topics", None)
    discard()
    state.tell(view.words)
    st.rerun()


def main() -> None:
    """Wires loaders and views."""
    context.through_the_dashboard()
    drill = state.opened("topic_mentions")
    if drill is not None:
        state.close_up("topic_mentions")
        query = state.filters_as_query(Filters(view="all", topics=(drill,)))
        st.switch_page("pages/inbox.py", query_params=query)
    person, now = context.actor(), context.now()
    with look.telling_errors():
        found = load_taxonomy(context.scope(person), context.ctx(), person)
        notices.show()
        may = context.may(Role.PRODUCT)
        editable = may and found.applying is None
        show_top(found, editable)
        look.sample_banner(found.sample)
        if state.request("apply_topics") is None and found.applying is not None:
            state.set_request("apply_topics", found.applying)
        notices.wait_for("apply_topics", done=applied, cancel=False)
        wanted = drafts(found)
        said = topics.changes(found.drafts, wanted)
        with st.container(key="topics-body"):
            left, right = st.columns([0.6, 0.4], gap="medium") if may else (st.container(), None)
        if right is not None:
            with right:
                if said:
                    show_draft(found, wanted, said)
                notices.wait_for("suggest_topics", done=lambda view: show_suggestions(view, found))
                if editable and not said:
                    show_last_change(found, now)
        with left:
            show_topics(found, wanted, editable)
        if editable:
            show_dialogs(found, wanted)


def show_dialogs(found: Taxonomy, wanted: Sequence[Draft]) -> None:
    """At most one is open."""
    place = state.opened("topic")
    if place is not None and place < len(wanted):
        title = text.plain(wanted[place].name, 60) if place >= 0 else "Add a topic"
        dialog = st.dialog(title, width="large", icon=":material/label:", on_dismiss=lambda: state.close_up("topic"))
        dialog(show_form)(found, wanted, place)
    elif state.opened("paste"):
        show_paste(found)


main()
