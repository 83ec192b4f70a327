"""Model: how often it is right here, what it confuses, how far to trust it; and the queue where people say so."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import streamlit as st

from dialogue import accuracy, review
from dialogue.context import Actor, Context, Role
from dialogue.inbox import UNCERTAIN_BELOW
from pages.parts import accuracy_charts, context, export, look, notices, state, text

VIEWS = {"accuracy": "How often it is right", "review": "Review"}
TABLES = {"label": "By label", "language": "By language", "source": "By source"}
BASES = {"random": "Random sample", "all": "All that was judged"}
DATA = {"real": "Your mentions", "sample": "Sample data"}
KEYS = {
    "negative": "1", "neutral": "2", "positive": "3",
    # The browser side keeps C and R for itself.
    "question": "q", "complaint": "k", "praise": "p", "idea": "i", "other": "o",
}  # fmt: skip
HOW_WORDS = {
    review.LEAST_CERTAIN: "Where the model was least sure comes first: a look mends most here.",
    review.RANDOM: "Drawn by nobody's choice: from these alone one learns how often the model is right.",
}


# Loaders: never draw --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def load_report(
    scope: context.Scope, version: str, sample: bool | None, _ctx: Context, _person: Actor
) -> accuracy.Report:
    """Everything known of one version."""
    return accuracy.report(_ctx, _person, version or None, sample)


@st.cache_data(ttl=60, max_entries=5, show_spinner=False)
def load_training_set(scope: context.Scope, _ctx: Context, _person: Actor) -> review.TrainingSet:
    """What may leave for training, and what may not."""
    return review.training_set(_ctx, _person)


# Accuracy: never loads ------------------------------------------------------------------------------------------------


def show_top(report: accuracy.Report) -> None:
    """The finding as the title, what it rests on below, and the choice of the view."""
    if state.chosen("part", VIEWS, "accuracy") == "review":
        look.heading("Is the model right about these?", "One key for each; what you say counts at once.")
    else:
        look.heading(report.figures.headline, report.figures.subline)
    with st.container(horizontal=True, vertical_alignment="center", key="model-top"):
        _choice("part", "View", VIEWS, "accuracy")
        if report.has_real and report.has_sample:
            _choice("data", "Data", DATA, "real")
        look.sample_banner(report.figures.sample)


def _choice(name: str, label: str, options: dict[str, str], otherwise: str) -> str:
    """A choice that stands in the address bar."""
    key = f"choice_{name}"
    st.session_state[key] = state.chosen(name, options, otherwise)
    st.segmented_control(
        label,
        list(options),
        key=key,
        required=True,
        label_visibility="collapsed",
        format_func=options.__getitem__,
        on_change=_chosen,
        args=(name, key),
    )
    return st.session_state[key]


def _chosen(name: str, key: str) -> None:
    state.choose(name, st.session_state[key])


def show_accuracy(report: accuracy.Report, person: Actor) -> None:
    """The figures, and beneath them one field at a time."""
    show_figures(report, person)
    with st.container(horizontal=True, vertical_alignment="center", key="model-field"):
        chosen = _choice("field", "Field", accuracy.FIELDS, "sentiment")
        if len(report.versions) > 1:
            show_version(report)
    found = next(one for one in report.fields if one.figure.field == chosen)
    left, right = st.columns([0.56, 0.44], gap="small")
    with left, st.container(border=True, height="stretch", key="model-lines"):
        show_lines(found)
    with right, st.container(border=True, height="stretch", key="model-confusion"):
        show_confusion(found)
    left, right = st.columns([0.44, 0.56], gap="small")
    with left, st.container(border=True, height="stretch", key="model-calibration"):
        show_calibration(found.calibration)
    with right, st.container(border=True, height="stretch", key="model-threshold"):
        show_threshold(found.thresholds, report.figures)
    show_versions(report)
    if person.role >= Role.ADMIN:
        show_training_set(person)


def show_figures(report: accuracy.Report, person: Actor) -> None:
    """Each field's figure with its interval, or what is missing; and what it all rests on."""
    grid = st.grid(len(report.fields) + 1, min_column_width=220, gap="small")
    for found in report.figures.figures:
        with grid, st.container(border=True, height="stretch", key=f"figure-{found.field}", gap="xxsmall"):
            _figure(found)
    with grid, st.container(border=True, height="stretch", key="figure-judged", gap="xxsmall"):
        judged = sum(one.judged for one in report.figures.figures)
        corrected = sum(one.corrected for one in report.figures.figures)
        st.metric("Judgements", text.number(judged))
        st.caption(
            f"{text.counted(corrected, 'correction')}, {text.counted(judged - corrected, 'confirmation')}"
            + (f"; topics of {text.counted(report.topics_judged, 'mention')} set" if report.topics_judged else "")
        )
        if person.role >= Role.RESPONDER and report.current:
            wanted = review.RANDOM if any(not one.enough for one in report.figures.figures) else review.LEAST_CERTAIN
            st.button("Review mentions", icon=":material/rate_review:", key="to_review", on_click=_go, args=(wanted,))


def _figure(found: accuracy.Figure) -> None:
    share = found.share
    if found.enough:
        st.metric(found.title, f"{accuracy.percent(share.value or 0)} %")
        st.caption(
            f"right, by {share.of:,} mentions drawn at random; the true share lies between "
            f"{accuracy.percent(share.low)} and {accuracy.percent(share.high)} % (95 % interval)"
        )
        return
    st.metric(found.title, "no figure yet")
    st.progress(min(1.0, share.of / (share.of + found.missing)))
    st.caption(f"{share.of} of {share.of + found.missing} random mentions looked at, {share.right} of them right")


def _go(how: str) -> None:
    state.choose("part", "review")
    state.choose("queue", how)


def show_version(report: accuracy.Report) -> None:
    """Which version's figures are shown."""
    names = [line.version for line in report.versions]
    current = next((line.version for line in report.versions if line.current), "")
    st.session_state["version"] = report.figures.version if report.figures.version in names else names[0]
    st.selectbox(
        "Version",
        names,
        key="version",
        label_visibility="collapsed",
        width=320,
        format_func=lambda name: text.shorten(text.tidy(name), 60) + (" (in use)" if name == current else ""),
        on_change=_chosen,
        args=("version", "version"),
    )


def show_lines(found: accuracy.FieldReport) -> None:
    """A table by label, language or source."""
    chosen = _choice("by", "By", TABLES, "label")
    lines = {"label": found.by_label, "language": found.by_language, "source": found.by_source}[chosen]
    if not lines:
        st.caption("Nothing was judged yet.")
        return
    words = {"label": "When it says so, it is right", "language": "Right", "source": "Right"}[chosen]
    rows = [
        {chosen.capitalize(): text.shorten(text.tidy(line.key), 80), words: _interval(line.share)}
        | ({"Of what is so, it finds": _interval(line.found)} if line.found is not None else {})
        | {"Judged": line.judged, "Corrected": line.corrected}
        | ({"Caveat": line.caveat} if chosen == "language" else {})
        for line in lines
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key=f"lines_{chosen}")
    st.caption(
        "Shares are of the random sample, with their 95 % interval. Judged and corrected count everything, also what "
        "was corrected in passing."
    )


def _interval(share: accuracy.Share) -> str:
    if share.value is None:
        return "–"
    return (
        f"{accuracy.percent(share.value)} % ({accuracy.percent(share.low)}–{accuracy.percent(share.high)}) "
        f"of {share.of:,}"
    )


def show_confusion(found: accuracy.FieldReport) -> None:
    """What is taken for what."""
    chosen = _choice("basis", "Of", BASES, "random" if found.figure.share.of else "all")
    counts = found.confusion if chosen == "random" else found.confusion_of_all
    if not any(map(sum, counts.counts)):
        st.caption("Nothing was judged yet. What people correct and confirm appears here.")
        return
    st.altair_chart(
        accuracy_charts.confusion(counts, look.accent(), look.ink()), key="confusion", alt="What is taken for what"
    )
    if chosen == "all":
        st.caption("What was corrected in passing was chosen for being wrong: read what is confused, not how often.")


def show_calibration(found: accuracy.Calibration) -> None:
    """How right by how sure."""
    st.markdown(f"**{text.plain(found.title)}**")
    if not found.bins:
        st.caption("What is confirmed and corrected in the review appears here, by how sure the model was.")
        return
    st.altair_chart(
        accuracy_charts.reliability(found.bins, look.accent(), look.quiet()),
        key="reliability",
        alt="How often the model is right, by how sure it is",
    )
    error = f"Expected calibration error {100 * found.error:.0f} points; " if found.error is not None else ""
    st.caption(f"{error}{text.counted(found.judged, 'judgement')} of the random sample and of the least certain.")


@st.fragment
def show_threshold(steps: Sequence[accuracy.Threshold], figures: accuracy.Figures) -> None:
    """What a threshold would send to review: a slider and a sentence."""
    st.markdown("**What a threshold would send to review**")
    if not steps:
        st.caption("This shows as soon as this version has read something.")
        return
    by_step = {round(100 * one.at): one for one in steps}
    at = st.slider(
        "Certainty below which somebody looks",
        steps[0].at,
        steps[-1].at,
        UNCERTAIN_BELOW,
        0.01,
        key="threshold",
    )
    chosen = by_step[round(100 * at)]
    st.markdown(text.plain(chosen.words))
    st.altair_chart(
        accuracy_charts.thresholds(steps, chosen.at, look.accent(), look.quiet()),
        key="thresholds",
        alt="The share of mentions below each threshold",
    )
    st.caption(
        f"Shares of the newest {figures.read:,} mentions. The inbox marks moods as uncertain below "
        f"{UNCERTAIN_BELOW:.2f}."
    )


def show_versions(report: accuracy.Report) -> None:
    """Every version that was judged, the one in use first."""
    if len(report.versions) < 2:
        return
    with st.container(border=True, key="model-versions"):
        st.markdown("**Version by version**")
        rows = [
            {"Version": text.shorten(text.tidy(line.version), 80) + (" (in use)" if line.current else "")}
            | {one.title: _interval(one.share) for one in line.figures}
            | {"Judged": sum(one.judged for one in line.figures), "Last judged": line.last}
            for line in report.versions
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, key="versions")


def show_training_set(person: Actor) -> None:
    """Judged texts for training elsewhere, without what must not be."""
    with st.expander("Judged texts for training", icon=":material/download:", key="training", on_change="rerun") as box:
        if not box.open:
            return
        found = load_training_set(context.scope(person), context.ctx(), person)
        st.caption(text.plain(found.words, 1_000))
        if found.rows:
            st.download_button(
                "Download as CSV",
                partial(_training_csv, context.ctx(), person),
                "samtal-judged-texts.csv",
                "text/csv",
                icon=":material/download:",
                key="training_csv",
                on_click="ignore",
            )


def _training_csv(ctx: Context, person: Actor) -> bytes:
    return export.csv(pd.DataFrame(review.take_training_set(ctx, person).rows))


# The review -----------------------------------------------------------------------------------------------------------


@dataclass
class Sitting:
    """One colleague's way through a queue, in this tab.

    done: each key press as the mention and the judgements that it made; none where it was skipped.
    """

    how: str
    sample: bool
    ids: list[int] = field(default_factory=list)
    done: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    before: int = 0
    """Random mentions that had been looked at when this sitting began."""
    last: tuple[int, float] = (0, 0.0)
    """The mention that was judged last, and the moment of the last key press."""

    def read(self, mention_id: int) -> bool:
        """Whether there was time to read it since the last key press."""
        (mention, at), now = self.last, time.monotonic()
        enough = mention == mention_id or now - at >= review.SOONEST
        self.last = (mention_id if enough else mention, now)
        return enough

    @property
    def skipped(self) -> set[int]:
        return {mention for mention, made in self.done if not made}

    @property
    def judged(self) -> int:
        """Mentions that were judged in this sitting."""
        return len({mention for mention, made in self.done if made})


def sitting(how: str, report: accuracy.Report) -> Sitting:
    """The sitting of this tab; another queue begins another."""
    found = state.opened("sitting")
    if found is None or (found.how, found.sample) != (how, report.figures.sample):
        looked_at = min((one.share.of for one in report.figures.figures), default=0)
        found = Sitting(how, report.figures.sample, before=looked_at)
        state.open_up("sitting", found)
    return found


def show_review(report: accuracy.Report, person: Actor) -> None:
    """The queue: one mention at a time."""
    if person.role < Role.RESPONDER:
        look.nothing("Judging needs the role *responder*. What was judged shows under **How often it is right**.")
        return
    how = _choice("queue", "Queue", review.QUEUES, review.RANDOM)
    show_next(sitting(how, report))


@st.fragment
def show_next(now: Sitting) -> None:
    """The next mention, what the model said of it, and a key for each word on that."""
    notices.show()
    with look.telling_errors():
        item = next_item(now)
        with st.container(horizontal=True, vertical_alignment="center", key="review-progress"):
            show_progress(now)
        if item is None:
            look.nothing("Nothing is left to judge here. New mentions come up as they are read.", ":material/done_all:")
            show_undo(now)
            return
        show_item(item)
        for said in item.said:
            show_said(now, item, said)
        with st.container(horizontal=True, key="review-does"):
            seen = {said.field: said.value for said in item.said}
            st.button(
                "The rest is right" if any(said.judged for said in item.said) else "Right",
                key=f"right_{item.mention_id}",
                type="primary",
                icon=":material/check:",
                shortcut="Enter",
                on_click=_confirm,
                args=(now, item.mention_id, seen),
            )
            st.button(
                "Skip", key=f"skip_{item.mention_id}", icon=":material/skip_next:", shortcut="s",
                on_click=_skip, args=(now, item.mention_id),
            )  # fmt: skip
            show_undo(now)


def next_item(now: Sitting) -> review.Item | None:
    """The first of the line that is still here and that nobody has judged; the line is filled up once."""
    for filled in (False, True):
        if filled:
            now.ids = list(
                review.queue(context.ctx(), context.actor(), now.how, sample=now.sample, without=now.skipped)
            )
        while now.ids:
            item = review.item(context.ctx(), context.actor(), now.ids[0])
            if item is not None and not item.judged:
                return item
            now.ids.pop(0)
    return None


def show_progress(now: Sitting) -> None:
    """How far one is."""
    here = f"{text.counted(now.judged, 'mention')} judged in this sitting"
    if now.how == review.RANDOM and now.before < accuracy.ENOUGH:
        looked_at = now.before + now.judged
        st.progress(
            min(1.0, looked_at / accuracy.ENOUGH),
            f"{looked_at} of {accuracy.ENOUGH} random mentions looked at · {here}",
        )
    else:
        st.caption(f"{here}. {HOW_WORDS[now.how]}")


def show_item(item: review.Item) -> None:
    """Who said what, where. Always as high, so that the buttons below stay where they are."""
    where = " · ".join(filter(None, [item.platform_title, item.place, text.when(item.posted_at, context.now())]))
    with st.container(border=True, height=190, key="review-item"):
        badges = [look.badge("sample", "gray", ":material/science:")] if item.sample else []
        if item.caveat:
            badges.append(look.badge(f"{item.language}: {item.caveat}", "orange", ":material/translate:"))
        st.markdown(" ".join([f"**{text.plain(item.author_name, 60)}**", look.grey(where), *badges]))
        if item.title:
            st.markdown(f"**{text.plain(item.title, 300)}**")
        look.quote(item.text, key=f"review_{item.mention_id}")


def show_said(now: Sitting, item: review.Item, said: review.Said) -> None:
    """One field: what the model said, how sure, and a button for each label."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"review-{said.field}", gap="xsmall"):
        sure = f"{said.title}: the model says **{said.value}**, {accuracy.percent(said.certainty)} % sure"
        st.markdown(f"{sure} :green[:material/check: judged]" if said.judged else sure, width=330)
        for label in accuracy.LABELS[said.field]:
            mark = look.MARKS.get(label)
            st.button(
                f"{mark} {label}" if mark else label,
                key=f"judge_{item.mention_id}_{label}",
                type="primary" if said.judged == label else "secondary",
                icon=None if mark else look.INTENT_ICONS[label],
                shortcut=KEYS[label],
                on_click=_judge,
                args=(now, item.mention_id, said.field, label),
            )


def show_undo(now: Sitting) -> None:
    """Takes the last key press back."""
    st.button(
        "Undo", key="review_undo", icon=":material/undo:", type="tertiary", shortcut="Backspace",
        disabled=not now.done, on_click=_undo, args=(now,),
    )  # fmt: skip


def _judge(now: Sitting, mention_id: int, name: str, value: str) -> None:
    if not now.read(mention_id):
        return
    with look.telling_errors_later():
        made = review.judge(context.ctx(), context.actor(), mention_id, name, value, now.how)
        now.done.append((mention_id, (made,)))


def _confirm(now: Sitting, mention_id: int, seen: dict[str, str]) -> None:
    if not now.read(mention_id):
        return
    with look.telling_errors_later():
        made = review.confirm(context.ctx(), context.actor(), mention_id, seen, now.how)
        if made:
            now.done.append((mention_id, made))


def _skip(now: Sitting, mention_id: int) -> None:
    now.done.append((mention_id, ()))
    now.ids = [one for one in now.ids if one != mention_id]


def _undo(now: Sitting) -> None:
    if not now.done:
        return
    mention_id, made = now.done.pop()
    with look.telling_errors_later():
        review.undo(context.ctx(), context.actor(), made)
    now.ids = [mention_id, *(one for one in now.ids if one != mention_id)]


def main() -> None:
    """Wires loaders and views."""
    context.through_the_dashboard()
    person = context.actor()
    with look.telling_errors():
        data = state.chosen("data", DATA, "")
        sample = {"real": False, "sample": True}.get(data)
        version = st.query_params.get("version", "")[:200]
        report = load_report(context.scope(person), version, sample, context.ctx(), person)
        show_top(report)
        if not report.figures.read and not report.versions:
            look.nothing(
                "Connect a source under **Sources**, or load sample data on **Summary**.", ":material/podcasts:"
            )
        elif state.chosen("part", VIEWS, "accuracy") == "review":
            show_review(report, person)
        else:
            notices.show()
            show_accuracy(report, person)


main()
