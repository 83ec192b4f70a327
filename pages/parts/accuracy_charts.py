"""Charts of how often the model is right: what is confused, how sure against how right, and what a threshold does."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from dialogue.accuracy import Bin, Confusion, Threshold

_PADDING = {"left": 0, "right": 8, "top": 6, "bottom": 0}


def confusion(counts: Confusion, accent: str, ink: str) -> alt.LayerChart:
    """A table of what the model said by what people say; the diagonal is where it was right.

    Colour is the share of a row, so that a rare label shows as plainly as a common one. `ink`: of the words on white.
    """
    data = pd.DataFrame(
        {"said": said, "meant": meant, "count": count, "share": count / max(1, sum(row)), "right": said == meant}
        for said, row in zip(counts.labels, counts.counts, strict=True)
        for meant, count in zip(counts.labels, row, strict=True)
    )
    few = len(counts.labels) < 4  # more names than that do not fit beside each other
    base = alt.Chart(data).encode(
        x=alt.X("meant:N", sort=list(counts.labels), title="People say", axis=_names("top", 0 if few else -35)),
        y=alt.Y("said:N", sort=list(counts.labels), title="The model said", axis=_names()),
        tooltip=[
            alt.Tooltip("said:N", title="The model said"),
            alt.Tooltip("meant:N", title="People say"),
            alt.Tooltip("count:Q", title="Mentions", format=","),
        ],
    )
    cells = base.mark_rect(cornerRadius=3, color=accent).encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 0.9]), legend=None)
    )
    words = base.mark_text(fontSize=14).encode(
        text=alt.Text("count:Q", format=","),
        color=alt.condition("datum.share > 0.55", alt.value("white"), alt.value(ink)),
    )
    right = base.mark_rect(cornerRadius=3, filled=False, stroke=accent, strokeWidth=1.5).transform_filter("datum.right")
    return (cells + right + words).properties(height=46 * len(counts.labels) + 40, padding=_PADDING)


def reliability(bins: Sequence[Bin], accent: str, grey: str) -> alt.LayerChart:
    """How right by how sure: a point a tenth with its interval; on the line, the model is as right as it is sure."""
    data = pd.DataFrame(
        {
            "sure": one.certainty,
            "right": one.share.value or 0.0,
            "low": one.share.low,
            "high": one.share.high,
            "judged": one.share.of,
        }
        for one in bins
    )
    scale = alt.Scale(domain=[0, 1])
    line = (
        alt.Chart(pd.DataFrame({"sure": [0, 1], "right": [0, 1]}))
        .mark_line(strokeDash=[4, 4], color=grey, strokeWidth=1.5)
        .encode(x="sure:Q", y="right:Q")
    )
    base = alt.Chart(data).encode(
        x=alt.X("sure:Q", title="How sure the model was", scale=scale, axis=_percent()),
        tooltip=[
            alt.Tooltip("sure:Q", title="Sure", format=".0%"),
            alt.Tooltip("right:Q", title="Right", format=".0%"),
            alt.Tooltip("low:Q", title="at least", format=".0%"),
            alt.Tooltip("high:Q", title="at most", format=".0%"),
            alt.Tooltip("judged:Q", title="Judged", format=","),
        ],
    )
    reach = base.mark_rule(color=accent, strokeWidth=2, opacity=0.5).encode(y=alt.Y("low:Q"), y2="high:Q")
    points = base.mark_circle(color=accent, opacity=1).encode(
        y=alt.Y("right:Q", title="How often it was right", scale=scale, axis=_percent()),
        size=alt.Size("judged:Q", scale=alt.Scale(range=[50, 320]), legend=None),
    )
    return (line + reach + points).properties(height=290, padding=_PADDING)


def thresholds(steps: Sequence[Threshold], at: float, accent: str, grey: str) -> alt.LayerChart:
    """The share of mentions below each threshold; the chosen one is marked."""
    data = pd.DataFrame({"at": [one.at for one in steps], "reviewed": [one.reviewed for one in steps]})
    area = (
        alt.Chart(data)
        .mark_area(color=accent, opacity=0.18, line={"color": accent, "strokeWidth": 2})
        .encode(
            x=alt.X("at:Q", title=None, scale=alt.Scale(domain=[steps[0].at, steps[-1].at]), axis=_plain()),
            y=alt.Y("reviewed:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=_percent()),
            tooltip=[
                alt.Tooltip("at:Q", title="Threshold", format=".2f"),
                alt.Tooltip("reviewed:Q", title="Looked at", format=".0%"),
            ],
        )
    )
    mark = alt.Chart(pd.DataFrame({"at": [at]})).mark_rule(color=grey, strokeWidth=2).encode(x="at:Q")
    return (area + mark).properties(height=150, padding=_PADDING)


def _names(orient: str = "left", angle: int = 0) -> alt.Axis:
    return alt.Axis(
        orient=orient, labelAngle=angle, labelOverlap=False, domain=False, ticks=False, labelPadding=6, labelLimit=110
    )


def _percent() -> alt.Axis:
    return alt.Axis(format=".0%", tickCount=5, domain=False, ticks=False)


def _plain() -> alt.Axis:
    return alt.Axis(format=".1f", tickCount=8, domain=False, ticks=False, grid=False)
