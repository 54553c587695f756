"""Frontiers copied to a consumer group, so that the tools which show a group's lag show ours.

For information only: nothing here reads them back, and a failure is a line in the log. One request a topic is on its
way at a time; of the frontiers that come meanwhile, the last one follows.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException

from watersmeet.core.frontier import Frontier

from .brokers import Brokers

_logger = logging.getLogger(__name__)


class Mirror:
    """A consumer group that nobody joins. Safe to share between threads.

    Args:
        brokers: of the cluster.
        group: its name.
    """

    def __init__(self, brokers: Brokers, group: str) -> None:
        self._brokers, self._group = brokers, group
        self._lock = threading.Lock()
        self._underway: set[str] = set()
        self._next: dict[str, Frontier] = {}

    def show(self, topic: str, frontier: Frontier) -> None:
        """Move the group to a frontier, soon; never waits, never raises."""
        with self._lock:
            if topic in self._underway:
                self._next[topic] = frontier
                return
            self._underway.add(topic)
        self._ask(topic, frontier)

    def _ask(self, topic: str, frontier: Frontier) -> None:
        try:
            self._brokers.move(self._group, topic, frontier, lambda future: self._answered(topic, future))
        except KafkaException as error:
            self._failed(topic, error)
            with self._lock:
                self._underway.discard(topic)

    def _answered(self, topic: str, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            self._failed(topic, error)
        with self._lock:
            following = self._next.pop(topic, None)
            if following is None:
                self._underway.discard(topic)
        if following is not None:
            self._ask(topic, following)

    def _failed(self, topic: str, error: BaseException) -> None:
        _logger.warning("topic %s: its frontier could not be shown in consumer group %s: %s", topic, self._group, error)
