"""What `/metrics` shows, for Prometheus."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from underpaint.server.pauses import PauseWatch
from underpaint.server.studio import EngineDoings, StudioStatus
from underpaint.wire import TASK_MODELS

TASK_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0)
PASS_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
REQUEST_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0, 300.0)

Outcome = Literal["success", "refused", "failed"]
CONTENT_TYPE = CONTENT_TYPE_LATEST


class StudioCollector(Collector):
    """Reads the studio's state at each scrape."""

    def __init__(self, status: Callable[[], StudioStatus]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """The gauges of this moment."""
        status = self._status()
        yield GaugeMetricFamily(
            "underpaint_ready", "1 while new tasks are accepted and run.", value=status.ready
        )
        yield GaugeMetricFamily(
            "underpaint_results_waiting", "Results that wait to run.", value=status.waiting
        )
        yield GaugeMetricFamily(
            "underpaint_results_running", "Results that are being made.", value=status.running
        )
        yield CounterMetricFamily(
            "underpaint_engine_restarts",
            "Times that the engine process was replaced.",
            value=status.engine_restarts,
        )
        yield from _engine_metrics(status.engine)


def _engine_metrics(engine: EngineDoings) -> Iterable[Metric]:
    counts = [sum(n for rows, n in engine.passes.items() if rows <= bound) for bound in PASS_ROWS]
    total = sum(engine.passes.values())
    yield HistogramMetricFamily(
        "underpaint_engine_pass_rows",
        "Rows of the engine's forward passes; a picture with guidance takes two, one without takes one.",
        buckets=[
            *((str(float(bound)), n) for bound, n in zip(PASS_ROWS, counts, strict=True)),
            ("+Inf", total),
        ],
        sum_value=sum(rows * n for rows, n in engine.passes.items()),
    )
    yield CounterMetricFamily(
        "underpaint_engine_pass_seconds", "Time spent in forward passes.", value=engine.pass_seconds
    )
    yield GaugeMetricFamily(
        "underpaint_engine_memory_bytes",
        "Memory of the engine's process, or on a GPU what it holds there.",
        value=engine.memory_bytes,
    )
    loaded = GaugeMetricFamily(
        "underpaint_engine_model_loaded", "1 for each model in the engine's memory.", labels=("model",)
    )
    for name in engine.models:
        loaded.add_metric((name,), 1)
    yield loaded


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self, status: Callable[[], StudioStatus]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(StudioCollector(status))
        # Labels have few values, and looking one up takes longer than counting.
        self._requests = cache(
            Counter(
                "underpaint_http_requests",
                "HTTP requests by place, method and status.",
                ("place", "method", "status"),
                registry=self._registry,
            ).labels
        )
        self._request_seconds = cache(
            Histogram(
                "underpaint_http_request_seconds",
                "Time from the head of an HTTP request to the end of its answer.",
                ("place",),
                buckets=REQUEST_SECONDS,
                registry=self._registry,
            ).labels
        )
        self._tasks = cache(
            Counter(
                "underpaint_tasks",
                "Answered tasks by type and outcome: success (an async task counts when it is accepted), "
                "refused (the caller's doing), failed (the server's).",
                ("task_type", "outcome"),
                registry=self._registry,
            ).labels
        )
        self._task_seconds = cache(
            Histogram(
                "underpaint_task_seconds",
                "Time from reading a task to its answer.",
                ("task_type",),
                buckets=TASK_SECONDS,
                registry=self._registry,
            ).labels
        )
        self.websocket_connections = Gauge(
            "underpaint_websocket_connections", "Open WebSocket connections.", registry=self._registry
        )
        self.pauses = PauseWatch()
        Gauge(
            "underpaint_event_loop_longest_pause_seconds",
            "By how much the event loop was late, at most since the start, for whatever reason.",
            registry=self._registry,
        ).set_function(lambda: self.pauses.longest_s)
        Gauge(
            "underpaint_event_loop_longest_own_pause_seconds",
            "The same, counting only as much of each pause as this process used the processor meanwhile.",
            registry=self._registry,
        ).set_function(lambda: self.pauses.longest_own_s)

    def count_request(self, place: str, method: str, status_code: int, seconds: float) -> None:
        """Count an answered HTTP request. `place` must be one of few."""
        known = method if method in {"GET", "HEAD", "POST", "DELETE", "OPTIONS"} else "other"
        self._requests(place, known, status_code).inc()
        self._request_seconds(place).observe(seconds)

    def count_task(self, task_type: str | None, outcome: Outcome, seconds: float) -> None:
        """Count an answered task. Types that do not exist count as one, whatever a client makes up."""
        known = task_type if task_type in TASK_MODELS else "unknown"
        self._tasks(known, outcome).inc()
        self._task_seconds(known).observe(seconds)

    def render(self) -> bytes:
        """The text form."""
        return generate_latest(self._registry)
