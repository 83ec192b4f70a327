"""For machines that watch: liveness, open to all and saying little, and metrics behind a token or a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.gate import Door, Needs
from api.site import Site
from dialogue import monitoring

DOORS = (
    # Load balancers and container supervisors have no credential, and learn nothing here that they could misuse.
    Door("/healthz", Needs.NOTHING),
    Door("/metrics", Needs.SESSION_OR_TOKEN),
)


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The routes of this file for one site."""

    site: Site

    def routes(self) -> list[Route]:
        return [Route("/healthz", self.health, methods=["GET"]), Route("/metrics", self.metrics, methods=["GET"])]

    async def health(self, _: Request) -> Response:
        found = await run_in_threadpool(monitoring.liveness, self.site.ctx)
        body = {"status": "ok" if found.well else "failing", "database": found.database or "ok"}
        body["worker"] = found.worker or "ok"
        return JSONResponse(body, status_code=200 if found.well else 503)

    async def metrics(self, _: Request) -> Response:
        figures = await run_in_threadpool(monitoring.figures, self.site.ctx)
        registry = CollectorRegistry()
        registry.register(_Figures(figures))
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Figures(Collector):
    """Turns the figures of one moment into metrics; they come from the database, so every web process says the same."""

    def __init__(self, figures: monitoring.Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield _gauge("samtal_mentions", "Tagged mentions by platform.", "platform", figures.mentions)
        yield GaugeMetricFamily("samtal_mentions_untagged", "Mentions waiting for the model.", figures.untagged)
        yield _gauge("samtal_replies", "Replies by state.", "state", figures.replies)
        yield _gauge("samtal_requests", "Requests to the worker by state.", "state", figures.requests)
        failures = GaugeMetricFamily(
            "samtal_source_failures", "Failed runs in a row.", labels=["source", "platform", "state"]
        )
        silence = GaugeMetricFamily(
            "samtal_source_silence_seconds", "Since the last run without an error.", labels=["source", "platform"]
        )
        due = GaugeMetricFamily(
            "samtal_source_due_seconds", "Until the next run, negative where late.", labels=["source", "platform"]
        )
        per_hour = GaugeMetricFamily(
            "samtal_source_posts_per_hour", "What it brings lately.", labels=["source", "platform"]
        )
        for source in figures.sources:
            if source.due_in is not None:
                due.add_metric([str(source.id), source.platform], source.due_in)
            if source.per_hour is not None:
                per_hour.add_metric([str(source.id), source.platform], source.per_hour)
            failures.add_metric([str(source.id), source.platform, source.state], source.failures)
            if source.silence is not None:
                silence.add_metric([str(source.id), source.platform], source.silence)
        yield failures
        yield silence
        yield due
        yield per_hour
        yield from self._allowed()
        if figures.worker_silence is not None:
            yield GaugeMetricFamily(
                "samtal_worker_silence_seconds", "Since a worker last said that it lives.", figures.worker_silence
            )

    def _allowed(self) -> Iterator[Metric]:
        """What platforms still let us ask, and how our accounts do."""
        left = GaugeMetricFamily(
            "samtal_budget_remaining", "Requests that a platform still allows.", labels=["platform", "owner", "kind"]
        )
        for budget in self._figures.budgets:
            left.add_metric([budget.platform, budget.owner, budget.kind], budget.remaining)
        dead = GaugeMetricFamily(
            "samtal_account_dead", "1 where the platform accepts it no more.", labels=["account", "platform"]
        )
        ends = GaugeMetricFamily(
            "samtal_account_expires_seconds", "Until its credentials end.", labels=["account", "platform"]
        )
        for account in self._figures.accounts:
            dead.add_metric([str(account.id), account.platform], int(account.dead))
            if account.expires_in is not None:
                ends.add_metric([str(account.id), account.platform], account.expires_in)
        yield from (left, dead, ends)


def _gauge(name: str, help_text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
