"""Notifications: what is sent, opened and clicked, by kind, by recipient, and one by one.

`notification_activity` counts minutes by kind and type of event, `notification_recipients` minutes by user and kind.
Neither can say whether a click belongs to what was sent. `notification_deliveries` can: everything that happens to one
notification at one user, as long as no week passes without an event, is one delivery, however many windows lie between
sending and click.
"""

from __future__ import annotations

import watersmeet as wm

from .topics import notification

SENT, OPENED, CLICKED = (f"event_type = 'NOTIFICATION_{what}'" for what in ("SENT", "OPENED", "CLICKED"))
PATIENCE = wm.session("7d")
"""How long a notification may lie before what happens to it no longer belongs to its sending."""

notification_activity = wm.View(
    "notification_activity",
    topic=notification,
    dimensions=["notification_type", "event_type"],
    window=wm.tumbling("1m"),
    measures={
        "event_count": wm.count(),
        "unique_users": wm.distinct("user_id"),
        "sent": wm.count(where=SENT),
        "viewed": wm.count(where=OPENED),
        "clicked": wm.count(where=CLICKED),
        "unique_recipients": wm.distinct("user_id", where=SENT),
        "unique_types": wm.distinct("notification_type", where=SENT),
    },
)

notification_recipients = wm.View(
    "notification_recipients",
    topic=notification,
    dimensions=["user_id", "notification_type"],
    window=wm.tumbling("1m"),
    measures={
        "total_events": wm.count(),
        "notifications_received": wm.count(where=SENT),
        "notifications_viewed": wm.count(where=OPENED),
        "notifications_clicked": wm.count(where=CLICKED),
        "unique_notification_types": wm.distinct("notification_type"),
    },
    derive={
        "view_rate_pct": "pct(notifications_viewed, notifications_received)",
        "click_rate_pct": "pct(notifications_clicked, notifications_received)",
    },
)

notification_deliveries = wm.View(
    "notification_deliveries",
    topic=notification,
    dimensions=["notification_id", "notification_type", "user_id"],
    window=PATIENCE,
    expire="90d",
    measures={
        "sent_count": wm.count(where=SENT),
        "viewed_count": wm.count(where=OPENED),
        "clicked_count": wm.count(where=CLICKED),
        "unique_users": wm.distinct("user_id"),
        "sent_time": wm.min("event_time", where=SENT),
        "first_view_time": wm.min("event_time", where=OPENED),
        "first_click_time": wm.min("event_time", where=CLICKED),
        "last_click_time": wm.max("event_time", where=CLICKED),
    },
    derive={
        "time_to_view_seconds": "date_sub('second', sent_time, first_view_time)",
        "time_to_click_seconds": "date_sub('second', sent_time, first_click_time)",
    },
)

# -- real-time --------------------------------------------------------------------------------------------------------

sent_1min = wm.Query(
    "notification_realtime_sent_1min",
    inputs={"activity": notification_activity.at("1m", by=[])},
    key=["window_start"],
    time="window_start",
    sql="""
    select window_start, window_end, sent as total_sent, unique_recipients, unique_types
    from activity where sent > 0""",
)

# A click counts for the window in which its notification was sent, whenever it comes. The last condition bounds which
# deliveries a window must look at; it only leaves out a sending a week after the first event of its own delivery.
click_rate = wm.Query(
    "notification_realtime_click_rate_5min",
    inputs={
        "activity": notification_activity.at("5m", by=["notification_type"]),
        "deliveries": notification_deliveries,
    },
    key=["window_start", "notification_type"],
    time="window_start",
    sql="""
    with attributed as (
      select activity.window_start, activity.notification_type,
             count(*) filter (where last_click_time >= sent_time) as sent_clicked
      from activity join deliveries
        on deliveries.notification_type = activity.notification_type
       and time_bucket(interval '5 minutes', sent_time) = activity.window_start
       and deliveries.window_start between activity.window_start - interval '7 days'
                                       and activity.window_start + interval '5 minutes'
      group by all)
    select window_start, window_end, notification_type, sent, clicked, unique_users,
           cast(pct(coalesce(sent_clicked, 0), sent) as double) as click_through_rate_pct,
           coalesce(sent_clicked, 0) as sent_clicked, cast(pct(clicked, sent) as double) as clicks_per_sent_pct
    from activity left join attributed using (window_start, notification_type)
    where sent > 0""",
)

delivery_status = wm.Query(
    "notification_realtime_delivery_status",
    inputs={"life": notification_deliveries.at(PATIENCE, by=["notification_id", "notification_type"])},
    key=["window_start", "notification_id", "notification_type"],
    time="window_start",
    sql="""
    select time_bucket(interval '5 minutes', window_start) as window_start,
           time_bucket(interval '5 minutes', window_start) + interval '5 minutes' as window_end,
           notification_id, notification_type, sent_count, viewed_count, clicked_count, unique_users,
           sent_time, first_view_time, first_click_time, time_to_view_seconds, time_to_click_seconds
    from life""",
)

engagement_metrics = wm.Query(
    "notification_realtime_engagement_metrics",
    inputs={"recipients": notification_recipients.at("5m", every="1m", by=["user_id"])},
    key=["window_start", "user_id"],
    time="window_start",
    sql="""
    select window_start, window_end, user_id, total_events,
           notifications_received, notifications_viewed, notifications_clicked, unique_notification_types,
           cast(view_rate_pct as double) as view_rate_pct, cast(click_rate_pct as double) as click_rate_pct
    from recipients""",
)

realtime = [sent_1min, click_rate, delivery_status, engagement_metrics]

# -- by day and of all time -------------------------------------------------------------------------------------------

daily_activity = wm.Query(
    "notification_daily_activity",
    inputs={"activity": notification_activity.at("1d")},
    key=["date", "event_type", "notification_type"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, event_type, notification_type,
           unique_users, event_count
    from activity""",
)

daily_sent = wm.Query(
    "notification_daily_sent",
    inputs={"activity": notification_activity.at("1d", by=[])},
    key=["date"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, sent as total_sent, unique_recipients, unique_types
    from activity where sent > 0""",
)

delivery_stats = wm.Query(
    "notification_delivery_stats",
    inputs={"activity": notification_activity.at(None, by=["notification_type"])},
    key=["notification_type"],
    sql="select notification_type, sent as total_sent, unique_recipients from activity where sent > 0",
)

click_through_rate = wm.Query(
    "notification_click_through_rate",
    inputs={
        "activity": notification_activity.at(None, by=["notification_type"]),
        "deliveries": notification_deliveries,
    },
    key=["notification_type"],
    sql="""
    with attributed as (
      select notification_type, count(*) as sent_clicked
      from deliveries where last_click_time >= sent_time group by notification_type)
    select notification_type, sent as total_sent, clicked as total_clicked,
           pct(clicked, sent) as click_through_rate, unique_users,
           coalesce(sent_clicked, 0) as sent_clicked, pct(coalesce(sent_clicked, 0), sent) as attributed_click_rate
    from activity left join attributed using (notification_type)
    where sent > 0""",
)

engagement = wm.Query(
    "notification_engagement",
    inputs={"recipients": notification_recipients.at(None)},
    key=["user_id", "notification_type"],
    sql="""
    select user_id, notification_type, notifications_clicked from recipients where notifications_clicked > 0""",
)

user_preferences = wm.Query(
    "notification_user_preferences",
    inputs={"recipients": notification_recipients.at(None)},
    key=["user_id", "notification_type"],
    sql="""
    select user_id, notification_type, notifications_received, notifications_clicked,
           click_rate_pct as engagement_rate, notifications_viewed, view_rate_pct as view_rate
    from recipients where notifications_received > 0""",
)

user_summary = wm.Query(
    "notification_user_summary",
    inputs={"recipients": notification_recipients.at(None, by=["user_id"])},
    key=["user_id"],
    sql="""
    select user_id, notifications_received as total_received, notifications_clicked as total_clicked,
           click_rate_pct as overall_engagement_rate, notifications_viewed as total_viewed,
           view_rate_pct as overall_view_rate, total_events, unique_notification_types
    from recipients""",
)


# What was opened before it was sent says nothing of how long it took.
TIMED = """
    timed as (
      select date_trunc('day', window_start) as window_start, notification_type,
             case when time_to_view_seconds >= 0 then time_to_view_seconds end as to_view,
             case when time_to_click_seconds >= 0 then time_to_click_seconds end as to_click
      from deliveries where sent_count > 0)"""
TIMES = """
           count(*) as deliveries, count(to_view) as viewed_deliveries, count(to_click) as clicked_deliveries,
           ratio(sum(to_view), count(to_view), 2) as avg_time_to_view_seconds,
           min(to_view) as min_time_to_view_seconds, max(to_view) as max_time_to_view_seconds,
           ratio(sum(to_click), count(to_click), 2) as avg_time_to_click_seconds,
           min(to_click) as min_time_to_click_seconds, max(to_click) as max_time_to_click_seconds"""

delivery_times = wm.Query(
    "notification_delivery_times",
    inputs={"deliveries": notification_deliveries},
    key=["notification_type"],
    sql=f"with {TIMED} select notification_type, {TIMES} from timed group by all",  # noqa: S608  # SQL of this module
)

daily_delivery_times = wm.Query(
    "notification_daily_delivery_times",
    inputs={"deliveries": notification_deliveries},
    key=["date", "notification_type"],
    time="window_start",
    sql=f"""
    with {TIMED}
    select window_start, strftime(window_start, '%Y-%m-%d') as date, notification_type, {TIMES}
    from timed group by all""",  # noqa: S608  # SQL of this module
)

batch = [
    delivery_stats,
    engagement,
    click_through_rate,
    user_preferences,
    daily_activity,
    user_summary,
    daily_sent,
    delivery_times,
    daily_delivery_times,
]

# What was sent in a window may be opened weeks later.
_PATIENT = {click_rate.name, delivery_status.name}

tables = [
    *(
        wm.Table(
            q.name,
            of=q,
            to="realtime_views",
            freeze="30d" if q.name in _PATIENT else "7d",
            columns=["*", "published_at as processed_at"],
        )
        for q in realtime
    ),
    *(wm.Table(q.name, of=q, to="batch_views", every="10m") for q in batch),
]
