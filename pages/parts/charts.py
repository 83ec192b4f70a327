"""Charts in the one palette; a click on a bar says which mentions it stands for."""

from __future__ import annotations

from datetime import date
from typing import Any

import altair as alt
import pandas as pd

ORDER = ("negative", "neutral", "positive")
PICK = "pick"
"""Name of the selection in every chart."""


def by_day(frame: pd.DataFrame, colours: dict[str, str]) -> alt.Chart:
    """Stacked bars of mentions a day. `frame`: day, sentiment, count."""
    data = frame.assign(
        iso=[day.isoformat() for day in frame["day"]],
        order=frame["sentiment"].map(ORDER.index),
        label=[f"{day:%A}, {day.day} {day:%B}" for day in frame["day"]],
    ).drop(columns="day")
    step = max(1, data["iso"].nunique() // 10)
    shown = sorted(data["iso"].unique())[::step]
    pick = alt.selection_point(PICK, fields=["iso", "sentiment"], toggle=False)
    return (
        alt.Chart(data)
        .mark_bar(cursor="pointer")
        .encode(
            x=alt.X("iso:O", title=None, axis=_day_axis(shown), scale=alt.Scale(paddingInner=0.22)),
            y=alt.Y("count:Q", title=None, axis=alt.Axis(tickCount=4, tickMinStep=1, domain=False, ticks=False)),
            color=_colour(colours),
            order=alt.Order("order:Q"),
            opacity=alt.condition(pick, alt.value(1), alt.value(0.45)),
            tooltip=[alt.Tooltip("label:N", title="Day"), _mood(), _count()],
        )
        .add_params(pick)
        .properties(height=270, padding={"left": 0, "right": 4, "top": 6, "bottom": 0})
    )


def by_key(frame: pd.DataFrame, name: str, colours: dict[str, str], most: int = 8) -> alt.Chart:
    """Stacked bars, one a topic or platform, longest first. `frame`: `name`, sentiment, count."""
    largest = frame.groupby(name)["count"].sum().nlargest(most)
    data = frame[frame[name].isin(largest.index)].assign(order=lambda rows: rows["sentiment"].map(ORDER.index))
    pick = alt.selection_point(PICK, fields=[name, "sentiment"], toggle=False)
    return (
        alt.Chart(data)
        .mark_bar(cursor="pointer", height=17)
        .encode(
            y=alt.Y(
                f"{name}:N",
                title=None,
                sort=list(largest.index),
                axis=alt.Axis(labelLimit=150, domain=False, ticks=False, labelPadding=8),
            ),
            x=alt.X("count:Q", title=None, axis=alt.Axis(tickCount=4, tickMinStep=1, domain=False, ticks=False)),
            color=_colour(colours),
            order=alt.Order("order:Q"),
            opacity=alt.condition(pick, alt.value(1), alt.value(0.45)),
            tooltip=[alt.Tooltip(f"{name}:N", title=name.capitalize()), _mood(), _count()],
        )
        .add_params(pick)
        .properties(height=max(90, 28 * len(largest) + 40), padding={"left": 0, "right": 4, "top": 6, "bottom": 0})
    )


def spark(values: tuple[int, ...], colour: str) -> alt.Chart:
    """Small bars without axes, one a day, the last one today."""
    data = pd.DataFrame({"day": range(len(values)), "count": values})
    return (
        alt.Chart(data)
        .mark_bar(color=colour)
        .encode(
            x=alt.X("day:O", axis=None, scale=alt.Scale(paddingInner=0.35)),
            y=alt.Y("count:Q", axis=None, scale=alt.Scale(domain=[0, max(1, *values)])),
            tooltip=[_count()],
        )
        .properties(height=44, padding=0)
        .configure_view(stroke=None)
    )


def small_days(frame: pd.DataFrame, colours: dict[str, str]) -> alt.Chart:
    """Small stacked bars, one a day, without an axis but the first day and the last. `frame`: day, sentiment, count."""
    data = frame.assign(
        iso=[day.isoformat() for day in frame["day"]],
        order=frame["sentiment"].map(ORDER.index),
        label=[f"{day:%A}, {day.day} {day:%B}" for day in frame["day"]],
    ).drop(columns="day")
    ends = [data["iso"].min(), data["iso"].max()]
    most = max(4, int(data.groupby("iso")["count"].sum().max()))
    return (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("iso:O", title=None, axis=_day_axis(ends), scale=alt.Scale(paddingInner=0.22)),
            y=alt.Y("count:Q", axis=None, scale=alt.Scale(domain=[0, most])),
            color=_colour(colours),
            order=alt.Order("order:Q"),
            tooltip=[alt.Tooltip("label:N", title="Day"), _mood(), _count()],
        )
        .properties(height=86, padding={"left": 0, "right": 0, "top": 4, "bottom": 0})
    )


def picked(event: Any) -> dict[str, str]:
    """The fields of the bar that was clicked, empty when none is."""
    points = (getattr(event, "selection", None) or {}).get(PICK) or []
    return {str(name): str(value) for name, value in points[0].items()} if points else {}


def picked_day(fields: dict[str, str]) -> tuple[date, date] | None:
    """The clicked day, as both ends of a range."""
    try:
        day = date.fromisoformat(fields["iso"])
    except (KeyError, ValueError):
        return None
    return day, day


def _day_axis(shown: list[str]) -> alt.Axis:
    return alt.Axis(
        values=shown,
        labelAngle=0,
        domain=False,
        ticks=False,
        labelPadding=6,
        labelOverlap=True,
        labelExpr="timeFormat(toDate(datum.value + 'T12:00:00'), '%-d %b')",
    )


def _colour(colours: dict[str, str]) -> alt.Color:
    return alt.Color(
        "sentiment:N",
        scale=alt.Scale(domain=list(ORDER), range=[colours[name] for name in ORDER]),
        legend=None,
    )


def _mood() -> alt.Tooltip:
    return alt.Tooltip("sentiment:N", title="Mood")


def _count() -> alt.Tooltip:
    return alt.Tooltip("count:Q", title="Mentions", format=",")
