"""A webhook on the Sources page: connected in a minute, which part of a delivery is what, and what came lately."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from dialogue import hooks
from pages.parts import context, look, state, text

STATES = {
    "read": ("green", ":material/check:"),
    "waiting": ("blue", ":material/hourglass_top:"),
    "rejected": ("red", ":material/block:"),
    "discarded": ("gray", ":material/delete:"),
}


# A new one ------------------------------------------------------------------------------------------------------------


def show_new() -> None:
    """Its name, and how the tool signs; the address and the secret come next."""
    schemes = {one.name: one for one in hooks.schemes()}
    label = st.text_input("Name of this source here", key="hook_label", max_chars=100, placeholder="Our survey")
    scheme = st.selectbox(
        "How the tool signs", list(schemes), key="hook_scheme", format_func=lambda name: schemes[name].label
    )
    st.caption(text.plain(schemes[scheme].help))
    secret = st.text_input(
        "Secret (optional)",
        key="hook_secret",
        type="password",
        autocomplete="off",
        help="Only where the tool makes the secret itself. Left empty, one is made for you.",
    )
    if st.button("Make the address", icon=":material/add_link:", type="primary", key="hook_go"):
        with look.telling_errors():
            made = hooks.create(context.ctx(), context.actor(), label, scheme, secret)
            state.shown_once("hook", made)
            state.close_up("adding")
            state.open_up("hook", made.source_id)
            st.rerun()


def fresh() -> int | None:
    """The source whose new secret is shown now."""
    made = state.shown_once("hook")
    return None if made is None else made.source_id


# One that is there ----------------------------------------------------------------------------------------------------


def show(source_id: int, now: datetime) -> None:
    """Everything about one webhook: address, secret, how it is read, what came."""
    with look.telling_errors():
        view = hooks.view(context.ctx(), context.actor(), source_id)
        with st.container(border=True, key=f"hook-{source_id}", gap="small"):
            show_connection(view, now)
            if view.parts:
                st.divider()
                show_layout(view)
            st.divider()
            show_deliveries(view, now)


def show_connection(view: hooks.HookView, now: datetime) -> None:
    """Where to send, with which secret, and commands that try it."""
    made = state.shown_once("hook")
    secret = made.secret if made is not None and made.source_id == view.source_id else ""
    address = context.address(view.path)
    if secret:
        st.markdown(f"**{text.plain(view.label, 100)}** {look.grey('connect it in a minute')}")
    st.markdown("**1. Enter this address in the tool**")
    st.code(address, language=None, wrap_lines=True)
    st.markdown(f"**2. Let it sign** {look.grey(view.scheme.label)}")
    if secret:
        st.caption(":material/key: The secret. Copy it now: it is not shown again.")
        st.code(secret, language=None, wrap_lines=True)
        st.button("I have copied it", key="hook_copied", on_click=state.forget_once, args=("hook",))
    else:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(secret_words(view, now))
            st.button(
                "New secret",
                icon=":material/autorenew:",
                type="tertiary",
                key=f"hook_rotate_{view.source_id}",
                help="The present one stays good for 24 hours.",
                on_click=_rotate,
                args=(view.source_id,),
            )
    with st.expander("3. Try it from a terminal", icon=":material/terminal:", expanded=bool(secret)):
        commands = hooks.example(view.scheme.name, address, secret)
        st.code(commands, language="sh", wrap_lines=True)
        st.caption("It answers 202, and the delivery stands below in a moment.")


def secret_words(view: hooks.HookView, now: datetime) -> str:
    """That the secret is not shown, and for how long the one before is good."""
    if view.old_until is None:
        return "Its secret was shown once, when it was made."
    return f"The secret before this one is good for another {text.span(view.old_until - now)}."


def _rotate(source_id: int) -> None:
    with look.telling_errors_later():
        state.shown_once("hook", hooks.rotate(context.ctx(), context.actor(), source_id))
        state.tell("A new secret was made. Enter it in the tool within 24 hours.")


def show_layout(view: hooks.HookView) -> None:
    """Which part is what, with the newest delivery as it would be read."""
    st.markdown(
        "**Which part is what**" + ("" if view.confirmed else " " + look.badge("guessed, please look", "orange"))
    )
    with look.telling_errors():
        layout, parts, key = show_each(view, f"hook_{view.source_id}")
        show_fields(view, layout, parts, key)


def show_fields(view: hooks.HookView, guessed: hooks.Layout, parts: tuple[hooks.PartView, ...], key: str) -> None:
    """Which part of an item is what, what that makes of the newest delivery, and the button that keeps it."""
    names = {one.pointer: one for one in parts}
    words = {pointer: part_words(one) for pointer, one in names.items()}
    fields: dict[str, list[str]] = {}
    fields["text"] = st.multiselect(
        hooks.FIELDS["text"],
        list(names),
        list(guessed.fields.get("text", ())),
        key=f"{key}_text",
        format_func=words.__getitem__,
        help="Several parts are put one below the other: a form may ask several open questions.",
    )
    cells = st.columns(4)
    for place, name in enumerate(one for one in hooks.FIELDS if one != "text"):
        guess = next(iter(guessed.fields.get(name, ())), None)
        chosen = cells[place % 4].selectbox(
            hooks.FIELDS[name],
            list(names),
            index=list(names).index(guess) if guess in names else None,
            key=f"{key}_{name}",
            placeholder="(none)",
            format_func=words.__getitem__,
        )
        fields[name] = [chosen] if chosen else []
    best = guessed.best_rating
    if fields["rating"]:
        best = st.segmented_control(
            "The best rating", hooks.BEST_RATINGS, default=best, required=True, key=f"{key}_best", width="content"
        )
    layout = {"each": guessed.each, "fields": fields, "best_rating": best}
    show_tried(view, layout)
    with st.container(horizontal=True, vertical_alignment="center"):
        label = "Save and read again" if view.rejected else "Save" if view.confirmed else "This is right: read them"
        if st.button(label, type="primary", icon=":material/check:", key=f"{key}_save"):
            with look.telling_errors():
                waiting = hooks.set_layout(context.ctx(), context.actor(), view.source_id, layout)
                state.tell(f"Saved. {hooks.words_of(waiting)} read now." if waiting else "Saved.")
                st.rerun()
        if view.rejected:
            st.button(
                "Give up on what could not be read",
                icon=":material/delete:",
                type="tertiary",
                key=f"{key}_discard",
                on_click=_discard,
                args=(view.source_id,),
            )


def show_each(view: hooks.HookView, key: str) -> tuple[hooks.Layout, tuple[hooks.PartView, ...], str]:
    """Where the items are; what is chosen of them so far, what can be, and the key of the widgets for it.

    Each place has widgets of its own: what was chosen at one means nothing at another.
    """
    known = {one.pointer: f"{text.tidy(one.name)} ({one.words})" for one in view.lists}
    places = list(dict.fromkeys(["", view.layout.each, *known]))
    if len(places) == 1 and not view.waiting + view.rejected:
        return view.layout, view.parts, key
    named = st.selectbox(
        "Each mention is",
        places,
        index=places.index(view.layout.each),
        key=f"{key}_each",
        format_func=lambda one: "the delivery itself" if not one else f"an item of {known.get(one, text.tidy(one))}",
        accept_new_options=True,
        help="A list of the delivery. One that is not offered can be named, such as /form/answers or form.answers.",
    )
    if named is None or named == view.layout.each:
        return view.layout, view.parts, key
    return *hooks.layout_at(context.ctx(), context.actor(), view.source_id, named), f"{key}_at_{named}"


def part_words(one: hooks.PartView) -> str:
    """What stood there, by which people know it, and where."""
    name = text.tidy(one.name) or "the item itself"
    return text.shorten(f"“{text.shorten(text.tidy(one.words), 40)}” in {name}" if one.words else name, 90)


def show_tried(view: hooks.HookView, layout: dict) -> None:
    """The newest delivery that is not read to its end, as it would be."""
    if not layout["fields"]["text"]:
        st.caption(":material/arrow_upward: Choose the part that holds what people wrote.")
        return
    with look.telling_errors():
        tried = hooks.try_layout(context.ctx(), context.actor(), view.source_id, layout)
        if not tried:
            st.caption("Everything that came has been read; what you save counts from the next delivery on.")
            return
        st.caption("The newest delivery would be read so:")
        for one in tried:
            if one.problem:
                st.markdown(f":red[:material/block:] {text.plain(one.problem, 300)}")
                continue
            about = [one.author or "Somebody", text.stars(one.rating) if one.rating is not None else ""]
            about.append(f"{one.posted_at:%d %b %Y %H:%M} UTC" if one.posted_at else "dated when it came")
            st.markdown(look.grey(" · ".join(filter(None, about))))
            look.quote(one.text, 300)


def _discard(source_id: int) -> None:
    with look.telling_errors_later():
        gone = hooks.discard(context.ctx(), context.actor(), source_id)
        state.tell(f"What could not be read of {hooks.words_of(gone)} is gone.")


def show_deliveries(view: hooks.HookView, now: datetime) -> None:
    """What came lately, and what became of it; what was turned away, and why."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("**Last deliveries**")
        st.button("Look again", icon=":material/refresh:", type="tertiary", key=f"hook_again_{view.source_id}")
    if view.refused_at is not None:
        st.markdown(
            f":orange[:material/gpp_bad:] {look.grey(f'turned away {text.when(view.refused_at, now)}:')} "
            + text.plain(view.refused, 500)
        )
    if not view.deliveries:
        st.caption("None yet. Send one with the commands above, or from the tool's own test button.")
    for one in view.deliveries:
        colour, icon = STATES.get(one.state, ("gray", ""))
        st.markdown(
            f":{colour}[{icon}] {look.grey(text.when(one.received_at, now) + ':')} {text.plain(one.words, 200)}"
        )
        for rejection in one.rejections[:5]:
            st.caption(f"{text.plain(rejection['where'], 60)}: {text.plain(rejection['reason'], 300)}")
