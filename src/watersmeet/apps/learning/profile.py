"""Profiles: who changes theirs, and which fields.

`profile_activity` counts events by minute and type, `profile_fields` the fields that updates touch, one row a field.
What concerns a single user is kept over all time.
"""

from __future__ import annotations

import watersmeet as wm

from .topics import profile

UPDATED, PICTURED = "event_type = 'UPDATE_PROFILE'", "event_type = 'PROFILE_PICTURE_UPDATED'"

profile_activity = wm.View(
    "profile_activity",
    topic=profile,
    dimensions=["event_type"],
    window=wm.tumbling("1m"),
    measures={
        "event_count": wm.count(),
        "unique_users": wm.distinct("user_id"),
        "users_updated_profile": wm.distinct("user_id", where=f"{UPDATED} or {PICTURED}"),
        "total_updates": wm.count(where=f"{UPDATED} or {PICTURED}"),
        "general_updates": wm.count(where=UPDATED),
        "avatar_changes": wm.count(where=PICTURED),
        "profiles_created": wm.count(where="event_type = 'CREATE_PROFILE'"),
        "password_changes": wm.count(where="event_type = 'PASSWORD_CHANGED'"),
    },
)

profile_fields = wm.View(
    "profile_fields",
    topic=profile,
    explode="list_distinct(updated_fields) as field_name",
    dimensions=["field_name"],
    window=wm.tumbling("1m"),
    where=UPDATED,
    measures={
        "total_updates": wm.count(),
        "unique_users_updating": wm.distinct("user_id"),
        "unique_fields_updated": wm.distinct("field_name"),
    },
)

profile_users = wm.View(
    "profile_users",
    topic=profile,
    dimensions=["user_id"],
    where=f"{UPDATED} or {PICTURED}",
    measures={
        "total_profile_updates": wm.count(where=UPDATED),
        "first_update": wm.min("event_time", where=UPDATED),
        "last_update": wm.max("event_time", where=UPDATED),
        "avatar_changes_count": wm.count(where=PICTURED),
        "first_change": wm.min("event_time", where=PICTURED),
        "last_change": wm.max("event_time", where=PICTURED),
    },
)


def _updates(name: str, window: str, key: str, bounds: str) -> wm.Query:
    """The figures of updates in windows of one length.

    Minutes without an update have a row too, where profiles were created or passwords changed.

    Args:
        name: of the query.
        window: how long.
        key: the column that tells windows apart.
        bounds: SQL of the columns that say when.
    """
    return wm.Query(
        name,
        inputs={"activity": profile_activity.at(window, by=[]), "fields": profile_fields.at(window, by=[])},
        key=[key],
        time="window_start",
        sql=f"""
        select {bounds}, users_updated_profile, activity.total_updates, general_updates, avatar_changes,
               coalesce(unique_fields_updated, 0) as unique_fields_updated, profiles_created, password_changes
        from activity left join fields using (window_start, window_end)""",  # noqa: S608  # SQL of this module
    )


DATE = "window_start, strftime(window_start, '%Y-%m-%d') as date"

updates = _updates("profile_realtime_updates_1min", "1m", "window_start", "window_start, window_end")
daily_updates = _updates("profile_daily_updates", "1d", "date", DATE)

daily_activity = wm.Query(
    "profile_daily_activity",
    inputs={"activity": profile_activity.at("1d")},
    key=["date", "event_type"],
    time="window_start",
    sql=f"select {DATE}, event_type, unique_users, event_count from activity",  # noqa: S608  # SQL of this module
)

update_frequency = wm.Query(
    "profile_update_frequency",
    inputs={"users": profile_users},
    key=["user_id"],
    sql="""
    select user_id, total_profile_updates, first_update, last_update from users where total_profile_updates > 0""",
)

field_changes = wm.Query(
    "profile_field_changes",
    inputs={"fields": profile_fields.at(None)},
    key=["field_name"],
    sql="select field_name, total_updates, unique_users_updating from fields",
)

avatar_changes = wm.Query(
    "profile_avatar_changes",
    inputs={"users": profile_users},
    key=["user_id"],
    sql="select user_id, avatar_changes_count, first_change, last_change from users where avatar_changes_count > 0",
)

realtime = [updates]
batch = [update_frequency, field_changes, avatar_changes, daily_activity, daily_updates]

tables = [
    *(
        wm.Table(q.name, of=q, to="realtime_views", freeze="7d", columns=["*", "published_at as processed_at"])
        for q in realtime
    ),
    *(wm.Table(q.name, of=q, to="batch_views", every="10m") for q in batch),
]
