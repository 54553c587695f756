"""A node: the layers of one app running in one process, as threads, until they are stopped.

Roles: ``ingest`` (sources), ``speed``, ``batch``, ``serve`` (answers, tables, alerts). Processes with different
roles share nothing but the stores. What a process runs are the *applied* declarations; it looks again whenever the
state changes.

Stopping drains: no new records are pulled, what is unread is absorbed (within ``drain_seconds``), then every thread
ends after the step at hand. Being killed instead costs nothing but that time.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from watersmeet.core.errors import (
    ConflictError,
    PendingError,
    RequestError,
    SettingsError,
    UnavailableError,
    WatersmeetError,
)
from watersmeet.core.frontier import size
from watersmeet.core.manifest import lease
from watersmeet.core.source import Source
from watersmeet.core.topic import Exclusion
from watersmeet.layers import plan as planning
from watersmeet.layers.alerts import Alerts, Notice, Notify
from watersmeet.layers.audit import Audit
from watersmeet.layers.batch import Batch, Recheck
from watersmeet.layers.ingest import Backlog, Pull
from watersmeet.layers.oracle import Oracle
from watersmeet.layers.publish import Publisher
from watersmeet.layers.repair import Repair
from watersmeet.layers.schemas import propose, register
from watersmeet.layers.serving import Serving
from watersmeet.layers.speed import Roll, Speed
from watersmeet.layers.status import Status, status

from .loading import App
from .notification import notifier
from .watch import Failure, machine, watch
from .wiring import Parts

ROLES = ("ingest", "speed", "batch", "serve")
RETRY_SECONDS = 2.0
TAKEOVER_SECONDS = 15.0
DRAIN_SECONDS = 10.0

Told = Callable[[str, int, int], None]
"""Told of progress: topic, records done, records in all."""


def _silent(topic: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


log = logging.getLogger(__name__)


@dataclass
class Events:
    """What has happened in this process since it started.

    Args:
        failures: job -> the last error that it recovered from.
    """

    failures: dict[str, Failure] = field(default_factory=dict)

    def failed(self, job: str, error: Exception, at_us: int) -> None:
        """Note an error."""
        before = self.failures.get(job)
        self.failures[job] = Failure(job, str(error), at_us, before.count + 1 if before else 1)


class Node:
    """Everything of one app in this process.

    Args:
        parts: the wired ports.
        app: as loaded from its files.
        sources: pulled by the ingest role; default the app's own.
        notify: sends alert notices; default what the settings say.
    """

    def __init__(
        self, parts: Parts, app: App, *, sources: Sequence[Source] | None = None, notify: Notify | None = None
    ) -> None:
        self.parts, self.app, self.events = parts, app, Events()
        self._sources = sources
        self._applied: tuple[int, planning.Applied | None] = (-1, None)
        self._stop, self._stop_ingest = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.reader = Serving(
            self.declarations, parts.state, parts.engine, parts.clock, source=parts.log, cache=parts.cache
        )
        self.backlog = Backlog(parts.log, parts.state, parts.clock, parts.settings.ingest.most_unread)
        self.repair = Repair(parts.state, parts.log, parts.engine)
        self.publisher = Publisher(self.reader, parts.state, parts.archive, parts.engine, parts.clock, parts.sink)
        send = notify or notifier(parts.settings.notify)
        routes = parts.settings.routes.model_dump()
        self.alerts = Alerts(self.reader, parts.state, parts.engine, parts.clock, notify=send, routes=routes)

    # -- declarations ----------------------------------------------------------------------------------------------

    def applied(self) -> planning.Applied:
        """The applied declarations; `SettingsError` when nothing has been applied yet."""
        token = self.parts.state.token()
        if self._applied[0] != token:
            self._applied = (token, planning.applied(self.parts.state, self.app.functions, self._applied[1]))
        found = self._applied[1]
        if found is None:
            raise SettingsError(
                "declarations", expected="something applied", got="nothing", remedy="run 'watersmeet apply' first"
            )
        return found

    def declarations(self) -> planning.Declarations:
        """What is served now."""
        return self.applied().served

    def plan(self) -> planning.Plan:
        """What applying the app's files would change."""
        parts = self.parts
        return planning.plan(self.app.declarations, parts.state, parts.log, parts.engine, parts.clock)

    def apply(self) -> planning.Applied:
        """Apply the app's files; schemas of topics in Avro are registered first."""
        parts = self.parts
        topics = self.app.declarations.topics.values()
        register(parts.schemas, [propose(parts.schemas, topic) for topic in topics if topic.format == "avro"])
        done = planning.apply(self.plan(), parts.state, parts.log, parts.clock)
        self._applied = (-1, None)
        return done

    def rollback(self) -> planning.Applied:
        """Go back to what was served before."""
        done = planning.rollback(self.parts.state, self.parts.clock, self.app.functions)
        self._applied = (-1, None)
        return done

    def exclude(self, topic: str, exclusion: Exclusion, *, apply: bool) -> planning.Plan:
        """Set records aside: the plan of it, applied if ``apply``."""
        return self._change(planning.exclude(self.applied(), topic, exclusion), apply)

    def lift(self, topic: str, reason: str, *, apply: bool) -> planning.Plan:
        """Take back every exclusion of a reason: the plan of it, applied if ``apply``."""
        found = self.applied()
        mine = [x for x in found.declarations.topic(topic).exclusions if x.reason == reason]
        if not mine:
            raise RequestError(f"exclusion {reason!r} of topic {topic}", kind="unknown", expected="a reason in force")
        return self._change(planning.lift(found, topic, *mine), apply)

    def _change(self, proposed: planning.Declarations, apply: bool) -> planning.Plan:
        parts = self.parts
        found = planning.plan(proposed, parts.state, parts.log, parts.engine, parts.clock, exclusions=True)
        if apply:
            planning.apply(found, parts.state, parts.log, parts.clock)
            self._applied = (-1, None)
        return found

    def status(self) -> Status:
        """The one status."""
        found, parts = self.applied(), self.parts
        pending = [*planning.pending(self.app.declarations, found), *found.pending]
        return status(found.served, found.number, parts.state, parts.log, parts.clock, pending=pending)

    # -- running ---------------------------------------------------------------------------------------------------

    def start(self, roles: Iterable[str] = ROLES) -> None:
        """Start the threads of ``roles``; returns at once. Raises `SettingsError` when nothing is applied."""
        topics, wanted = list(self.declarations().topics), set(roles)
        if unknown := wanted - set(ROLES):
            raise SettingsError("roles", expected=", ".join(ROLES), got=", ".join(sorted(unknown)))
        if "speed" in wanted:
            for name in topics:
                self._thread(f"speed {name}", partial(self._run_speed, name), self._stop)
        if "batch" in wanted:
            self._thread("batch", self._run_batch, self._stop)
        if "serve" in wanted:
            self._thread("publish", self._run_publish, self._stop)
        if "ingest" in wanted:
            sources = self.app.sources(self.parts.clock, self.reader) if self._sources is None else self._sources
            for source in sources:
                pull = Pull(source, self.parts.log, self.parts.state, self.parts.clock, backlog=self.backlog)
                self._thread(f"source {source.name}", partial(pull.run, self._stop_ingest), self._stop_ingest)

    def stop(self, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Drain and end every thread; called twice, it does not wait for the drain."""
        again = self._stop_ingest.is_set()
        self._stop_ingest.set()
        for thread in () if again else self._threads:
            if thread.name.startswith("source"):
                thread.join(drain_seconds)  # what it is pulling is still appended
        if not again and any(t.name.startswith("speed") for t in self._threads):
            self.drain(drain_seconds)
        self._stop.set()
        for thread in self._threads:
            thread.join(0.1 if again else drain_seconds)

    def drain(self, seconds: float) -> bool:
        """Wait until the speed layer has absorbed everything there is, at most ``seconds``; True if it has."""
        until = self.parts.clock.monotonic() + seconds
        while self.parts.clock.monotonic() < until:
            manifests = [self.parts.state.manifest(name) for name in self.declarations().topics]
            if all(size(m.frontier, self.parts.log.end(m.topic)) == 0 for m in manifests if m.version):
                return True
            self._stop.wait(0.02)
        return False

    def alive(self) -> dict[str, bool]:
        """Thread name -> whether it runs."""
        return {thread.name: thread.is_alive() for thread in self._threads}

    def _thread(self, name: str, work: Callable[[], None], stop: threading.Event) -> None:
        thread = threading.Thread(target=self._guard, args=(name, work, stop), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, name: str, work: Callable[[], None], stop: threading.Event) -> None:
        """The outermost loop of a thread: what fails is reported and tried again, never dropped."""
        while not stop.is_set():
            try:
                work()
            except Exception as error:
                level = (
                    logging.WARNING
                    if isinstance(error, UnavailableError | ConflictError | PendingError)
                    else logging.ERROR
                )
                log.log(level, "%s: %s", name, error, exc_info=not isinstance(error, WatersmeetError))
                self.events.failed(name, error, self.parts.clock.now_us())
                stop.wait(RETRY_SECONDS)

    # -- the loops -------------------------------------------------------------------------------------------------

    def speed(self, name: str) -> Speed:
        """The speed layer of one topic."""
        parts, settings = self.parts, self.parts.settings.speed
        roll = Roll(settings.epoch_seconds, settings.epoch_slices, settings.epoch_records)
        return Speed(
            name,
            lambda: self.applied().absorbs(name),
            parts.state,
            parts.runner,
            parts.engine,
            parts.log,
            parts.clock,
            holder=uuid.uuid4().hex[:12],
            roll=roll,
        )

    def _run_speed(self, name: str) -> None:
        try:
            self.speed(name).run(self._stop)
        except ConflictError as error:
            log.warning("speed %s: %s", name, error)
            self._wait_for_takeover(name)

    def _wait_for_takeover(self, name: str) -> None:
        """Return when the holder of the lease seems to be gone: unread records, and no commit for a while."""
        parts = self.parts
        last, since = parts.state.manifest(name), parts.clock.monotonic()
        while not self._stop.wait(0.5):
            m = parts.state.manifest(name)
            idle = size(m.frontier, parts.log.end(name)) == 0
            if idle or (m.frontier, m.generation) != (last.frontier, last.generation):
                last, since = m, parts.clock.monotonic()
            elif parts.clock.monotonic() - since > TAKEOVER_SECONDS:
                return

    def absorb(self, name: str) -> None:
        """Let the speed layer of a topic take everything that is unread, and end; one that is held takes nothing."""
        if not self.applied().catalogue.duties[name].held:
            self.speed(name).run(Drained(self, name))

    def batch(self, name: str) -> Batch:
        """The batch layer of one topic."""
        parts = self.parts
        audit = Audit(parts.state, parts.engine, parts.clock, oracle=Oracle(parts.archive))
        return Batch(
            name,
            lambda: self.applied().recomputes(name),
            parts.state,
            parts.archive,
            parts.runner,
            parts.engine,
            parts.log,
            parts.clock,
            audit=audit,
        )

    def catch_up(
        self,
        batches: dict[str, Batch],
        *,
        stop: threading.Event | None = None,
        progress: Told = _silent,
    ) -> int:
        """Let the batch layer do everything there is to do; returns how many steps that were.

        ``progress`` is called with topic, records computed and records that there were to compute.
        """
        parts, steps = self.parts, 0
        for name in self.declarations().topics:
            batch = batches.setdefault(name, self.batch(name))
            done, total = 0, batch.owing()
            while not (stop and stop.is_set()):
                began, before = parts.clock.monotonic(), done
                step = batch.step(lambda n, _: progress(name, before + n, total))  # noqa: B023  # called before it returns
                if step is None:
                    break
                if step.kind == "published":
                    done += step.records
                    planning.remember_rate(parts.state, name, step.records, parts.clock.monotonic() - began)
                steps += 1
        planning.swap(parts.state, parts.clock)
        if steps:
            for name in self.declarations().topics:
                parts.state.sweep(name, parts.clock.now_us() - int(parts.settings.batch.keep_seconds * 1e6))
        return steps

    def is_unread(self, name: str) -> bool:
        """True if the log holds records of the topic that no layer has absorbed."""
        return size(self.parts.state.manifest(name).frontier, self.parts.log.end(name)) > 0

    def recheck(self, first: int, last: int | None, progress: Told = _silent) -> list[Recheck]:
        """Compute published epochs anew from the archive and compare them with what is served, topic by topic."""
        differences = Audit(self.parts.state, self.parts.engine, self.parts.clock).differences
        return [
            self.batch(name).recheck(first, last, differences, partial(progress, name))
            for name in self.declarations().topics
        ]

    def seal(self, name: str) -> None:
        """Close what no speed layer has absorbed as an epoch: takes the lease."""
        m = self.parts.state.change(name, lambda m: lease(m, "batch"))
        self.batch(name).seal(m.generation)

    def _run_batch(self) -> None:
        batches: dict[str, Batch] = {}
        while not self._stop.is_set():
            self.catch_up(batches, stop=self._stop)
            self._stop.wait(self.parts.settings.batch.every_seconds)

    def _run_publish(self) -> None:
        watched = self.parts.clock.monotonic()
        while not self._stop.is_set():
            declarations = self.declarations()
            tasks: list[tuple[str, Callable[[], object]]] = [
                (f"table {t.name}", partial(self.publisher.publish, t, self._stop))
                for t in declarations.tables.values()
                if self.publisher.due(t)
            ]
            tasks += [(f"alert {a.name}", partial(self.alerts.evaluate, a)) for a in declarations.alerts.values()]
            for name, work in tasks:
                if not self._stop.is_set():
                    self._attempt(name, work)
            due = self.parts.clock.monotonic() - watched >= self.parts.settings.watch.every_seconds
            if due and not self._stop.is_set():
                watched = self.parts.clock.monotonic()
                self._attempt("watch", self.watch)
            self._stop.wait(1.0)

    def watch(self) -> list[Notice]:
        """Look at the app itself once; returns the new notices. See `watersmeet.runtime.watch`."""
        settings, failures = self.parts.settings, list(self.events.failures.values())
        alive = {} if self._stop_ingest.is_set() else self.alive()  # what is being stopped may end
        rules = watch(self.status(), alive, failures, machine(settings.directory), settings.watch)
        return [notice for rule, seen in rules for notice in self.alerts.observe(rule, seen)]

    def _attempt(self, name: str, work: Callable[[], object]) -> None:
        """Do one of many things; if it fails, that is reported, and the others are done all the same."""
        try:
            work()
        except WatersmeetError as error:
            log.warning("%s: %s", name, error)
            self.events.failed(name, error, self.parts.clock.now_us())


class Drained(threading.Event):
    """Set as soon as nothing of a topic is unread: lets the speed layer work off what there is, and end."""

    def __init__(self, node: Node, topic: str) -> None:
        super().__init__()
        self._node, self._topic = node, topic

    def is_set(self) -> bool:
        """See `threading.Event`."""
        return not self._node.is_unread(self._topic)
