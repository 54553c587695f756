"""The campus as a source: what happens there arrives as the clock goes on. For demonstrations."""

from __future__ import annotations

import json
import re

import watersmeet as wm

from .campus import Campus

RATE, SEED = 1.25, 7
BACK_US = 6 * 3_600_000_000
"""How long before the first pull the campus opens, so that there is something to see at once."""
MOST_US = 3_600_000_000
"""Most event time that one pull brings."""
WAIT_SECONDS = 300.0
"""Between pulls: each costs an hour's play of the campus, however little it brings."""
_USER = re.compile(rb'"user_id":"([^"]*)"')


class CampusSource:
    """Plays a campus that opened a few hours before the first pull.

    Args:
        clock: says how far it has got.
        rate, seed: of the campus.
    """

    name = "campus"

    def __init__(self, clock: wm.Clock, *, rate: float = RATE, seed: int = SEED) -> None:
        self._clock, self._rate, self._seed = clock, rate, seed

    def pull(self, position: bytes | None) -> wm.Pulled:
        """What has arrived since; see `watersmeet.Source`."""
        now_us = self._clock.now_us()
        opened = (now_us - BACK_US) // 60_000_000 * 60_000_000
        opens_us, start_us = json.loads(position) if position else (opened, opened)
        end_us = min(now_us, start_us + MOST_US)
        campus = Campus(self._rate, opens_us=opens_us, seed=self._seed)
        arrived = campus.arrivals(start_us, end_us) if start_us < end_us else iter(())
        records = [(topic, wm.Record(payload, key_of(payload))) for topic, _, payload in arrived]
        wait = WAIT_SECONDS if end_us == now_us else 0.0
        return wm.Pulled(records, json.dumps([opens_us, max(start_us, end_us)]).encode(), wait)


def key_of(payload: bytes) -> bytes | None:
    """The user of an event, by whom its topic is parted; None where it names none."""
    found = _USER.search(payload)
    return found[1] if found else None
