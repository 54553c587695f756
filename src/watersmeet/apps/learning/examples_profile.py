"""What the figures of profiles must be, worked out by hand."""

from __future__ import annotations

from typing import Any

import watersmeet as wm

from .profile import avatar_changes, daily_activity, daily_updates, field_changes, update_frequency, updates
from .sample import event, rows, time
from .topics import profile


def _event(name: str, clock: str, kind: str, user: str, *, days: int = 0, **more: object) -> dict[str, object]:
    return event("PROFILE", name, clock, kind, user, days=days, **more)


def _picture(name: str, clock: str, user: str, *, days: int = 0) -> dict[str, object]:
    return _event(name, clock, "PROFILE_PICTURE_UPDATED", user, days=days, picture_url=f"s3://profiles/{user}.jpg")


def _update(name: str, clock: str, user: str, *fields: str) -> dict[str, object]:
    return _event(name, clock, "UPDATE_PROFILE", user, updated_fields=list(fields))


_PERSON: dict[str, Any] = {
    "email": "sv001@university.edu",
    "full_name": "Trần Thị Hồng",
    "date_of_birth": "2003-02-01",
    "gender": "female",
    "phone_number": "+84 90 000 0001",
}
_FIRST_UPDATE = _update("b", "12:00:10", "SV001", "phone_number", "email")

STORY = [
    _event("a", "12:00:05", "CREATE_PROFILE", "SV001", **_PERSON),
    _FIRST_UPDATE,
    _update("c", "12:00:40", "SV002", "email", "email"),  # names a field twice, and changes it once
    _picture("d", "12:00:50", "SV001"),
    _event("e", "12:01:00", "PASSWORD_CHANGED", "SV002"),
    _picture("f", "12:00:00", "GV001", days=1),
    _FIRST_UPDATE,  # a copy counts once
    _update("none", "12:02:00", "SV001"),  # an update of nothing is dead
    _update("g", "12:03:00", "SV001", "address"),  # late by a day
]
# 9 records: one copy, one dead, and a to g
TOPIC = wm.Example(of=profile, given=STORY, expect=[{"used": 7, "duplicates": 1, "dead": 1, "filtered": 0}])

_UPDATES = (
    "users_updated_profile total_updates general_updates avatar_changes unique_fields_updated "
    "profiles_created password_changes"
)
REALTIME = [
    # minute 0: a creates, b c update phone_number and email, d is a picture; 1: e is a password only; 3: g
    wm.Example(
        of=updates,
        given=STORY,
        expect=rows(
            f"window_start window_end {_UPDATES}",
            (time("12:00:00"), time("12:01:00"), 2, 3, 2, 1, 2, 1, 0),
            (time("12:01:00"), time("12:02:00"), 0, 0, 0, 0, 0, 0, 1),
            (time("12:03:00"), time("12:04:00"), 1, 1, 1, 0, 1, 0, 0),
            (time("12:00:00", days=1), time("12:01:00", days=1), 1, 1, 0, 1, 0, 0, 0),
        ),
    ),
]
BATCH = [
    # b c g are updates of two users in three fields, d a picture
    wm.Example(
        of=daily_updates,
        given=STORY,
        expect=rows(f"date {_UPDATES}", ("2025-12-15", 2, 4, 3, 1, 3, 1, 1), ("2025-12-16", 1, 1, 0, 1, 0, 0, 0)),
    ),
    wm.Example(
        of=daily_activity,
        given=STORY,
        expect=rows(
            "date event_type unique_users event_count",
            ("2025-12-15", "CREATE_PROFILE", 1, 1),
            ("2025-12-15", "PASSWORD_CHANGED", 1, 1),
            ("2025-12-15", "PROFILE_PICTURE_UPDATED", 1, 1),
            ("2025-12-15", "UPDATE_PROFILE", 2, 3),
            ("2025-12-16", "PROFILE_PICTURE_UPDATED", 1, 1),
        ),
    ),
    # SV001: b and g; the teacher has a new picture only, so no row
    wm.Example(
        of=update_frequency,
        given=STORY,
        expect=rows(
            "user_id total_profile_updates first_update last_update",
            ("SV001", 2, time("12:00:10"), time("12:03:00")),
            ("SV002", 1, time("12:00:40"), time("12:00:40")),
        ),
    ),
    # email is in b and c
    wm.Example(
        of=field_changes,
        given=STORY,
        expect=rows(
            "field_name total_updates unique_users_updating",
            ("address", 1, 1),
            ("email", 2, 2),
            ("phone_number", 1, 1),
        ),
    ),
    wm.Example(
        of=avatar_changes,
        given=STORY,
        expect=rows(
            "user_id avatar_changes_count first_change last_change",
            ("GV001", 1, time("12:00:00", days=1), time("12:00:00", days=1)),
            ("SV001", 1, time("12:00:50"), time("12:00:50")),
        ),
    ),
]

examples = [TOPIC, *REALTIME, *BATCH]
