"""The status as Prometheus metrics; made anew for each scrape from durable state, so every process shows the same.

Only failures are counted by each process for itself, since it started.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from watersmeet.layers.status import Status
from watersmeet.runtime.watch import Failure

OUTCOMES = ("used", "duplicates", "dead", "filtered", "holes")


class _Metrics(Collector):
    def __init__(self, status: Status, failures: Iterable[Failure], cache_failures: int) -> None:
        self._status, self._failures, self._cache_failures = status, failures, cache_failures

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield _records(status)
        jobs = CounterMetricFamily(
            "watersmeet_job_failures", "Failures of jobs that went on after them", labels=["job"]
        )
        for failure in self._failures:
            jobs.add_metric([failure.job], failure.count)
        yield jobs
        yield CounterMetricFamily(
            "watersmeet_cache_failures", "Failures of the cache, without which answers are made", self._cache_failures
        )
        for name, text, value in _GAUGES:
            family = GaugeMetricFamily(f"watersmeet_{name}", text, labels=["topic"])
            for topic in status.topics:
                found = value(topic)
                if found is not None:
                    family.add_metric([topic.name], found)
            yield family
        yield GaugeMetricFamily(
            "watersmeet_declaration_number", "Number of the applied declarations", status.declaration
        )
        yield GaugeMetricFamily(
            "watersmeet_declarations_pending", "Names that differ from what is applied", len(status.pending)
        )
        yield GaugeMetricFamily(
            "watersmeet_ledger_balanced", "1 if every record has exactly one outcome", float(status.balanced)
        )
        yield GaugeMetricFamily(
            "watersmeet_audit_cells", "Cells that batch and speed both computed", status.audited_cells
        )
        yield GaugeMetricFamily(
            "watersmeet_audit_mismatched_epochs", "Audited epochs in which something differed", status.mismatches
        )
        if status.match_rate is not None:
            yield GaugeMetricFamily(
                "watersmeet_audit_match_ratio", "Cells that agreed by cells compared", status.match_rate
            )


def _records(status: Status) -> Metric:
    family = CounterMetricFamily("watersmeet_records", "Records by what became of them", labels=["topic", "outcome"])
    for topic in status.topics:
        for outcome in OUTCOMES:
            family.add_metric([topic.name, outcome], getattr(topic, outcome))
    return family


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6


_GAUGES = (
    ("unread_records", "Records in the log that are not absorbed yet", lambda t: t.unread),
    ("epochs_sealed", "Epochs that are sealed", lambda t: t.epochs),
    ("epochs_published", "Epochs that the batch layer owns", lambda t: t.published),
    ("live_blocks", "Blocks that the speed layer holds", lambda t: t.blocks),
    ("runs", "Runs that the batch layer holds", lambda t: t.runs),
    ("gaps", "Epochs that neither layer can give", lambda t: len(t.gaps)),
    ("late_records", "Used records behind the watermark", lambda t: t.late),
    ("freshness_seconds", "Age of the newest record in the answers", lambda t: t.freshness_seconds),
    ("watermark_seconds", "Event time up to which rows are final", lambda t: _seconds(t.watermark_us)),
)


def render(status: Status, failures: Iterable[Failure] = (), cache_failures: int = 0) -> bytes:
    """The exposition of one status, and of what failed in this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(status, failures, cache_failures))
    return generate_latest(registry)
