"""What is sent, opened and clicked, said again in SQL."""

from __future__ import annotations

from .windows import ALWAYS, DATE, FIVE_STARTS, SLIDING, each

SENT, OPENED, CLICKED = (f"filter (type = 'NOTIFICATION_{what}')" for what in ("SENT", "OPENED", "CLICKED"))

FIGURES = f"""
    count(*) as event_count, count(distinct user_id) as unique_users, count(*) {SENT} as sent,
    count(*) {OPENED} as viewed, count(*) {CLICKED} as clicked, count(distinct user_id) {SENT} as unique_recipients,
    count(distinct notification_type) {SENT} as unique_types"""
RECEIVED = f"""
    count(*) as total_events, count(*) {SENT} as notifications_received, count(*) {OPENED} as notifications_viewed,
    count(*) {CLICKED} as notifications_clicked, count(distinct notification_type) as unique_notification_types"""
VIEW_RATE, CLICK_RATE = f"percent(count(*) {OPENED}, count(*) {SENT})", f"percent(count(*) {CLICKED}, count(*) {SENT})"


def lives(by: str) -> str:
    """What happens to each notification, as long as no week lies between two events of it."""
    return f"""
    with steps as (
      select *, coalesce(t - lag(t) over (partition by {by} order by t) >= interval 7 days, false) as is_new
      from notification),
    numbered as (select *, count(*) filter (is_new) over (partition by {by} order by t) as part from steps)
    select min(t) as window_start, max(t) + interval 7 days as window_end, {by}, count(*) {SENT} as sent_count,
           count(*) {OPENED} as viewed_count, count(*) {CLICKED} as clicked_count,
           count(distinct user_id) as unique_users, min(t) {SENT} as sent_time, min(t) {OPENED} as first_view_time,
           min(t) {CLICKED} as first_click_time, max(t) {CLICKED} as last_click_time,
           seconds_between(sent_time, first_view_time) as time_to_view_seconds,
           seconds_between(sent_time, first_click_time) as time_to_click_seconds
    from numbered group by part, {by}"""


DELIVERIES = f"create table deliveries as {lives('notification_id, notification_type, user_id')}"
TABLES = (DELIVERIES,)

TIMES = """
    count(*) as deliveries, count(to_view) as viewed_deliveries, count(to_click) as clicked_deliveries,
    hundredths(100 * sum(to_view), 100 * count(to_view)) as avg_time_to_view_seconds,
    min(to_view) as min_time_to_view_seconds, max(to_view) as max_time_to_view_seconds,
    hundredths(100 * sum(to_click), 100 * count(to_click)) as avg_time_to_click_seconds,
    min(to_click) as min_time_to_click_seconds, max(to_click) as max_time_to_click_seconds
    from (select *, window_start as t, case when time_to_view_seconds >= 0 then time_to_view_seconds end as to_view,
                 case when time_to_click_seconds >= 0 then time_to_click_seconds end as to_click
          from deliveries where sent_time is not null)"""

ORACLES = {
    "notification_activity": f"""
        select {each(1)}, notification_type, type as event_type, {FIGURES} from notification group by all""",
    "notification_realtime_activity_15min": f"select {each(15)}, {FIGURES} from notification group by all",
    "notification_realtime_activity_1h": f"select {each(60)}, {FIGURES} from notification group by all",
    "notification_recipients": f"""
        select {each(1)}, user_id, notification_type, {RECEIVED}, {VIEW_RATE} as view_rate_pct,
               {CLICK_RATE} as click_rate_pct
        from notification group by all""",
    "notification_deliveries": "from deliveries",
    "notification_times": f"select {ALWAYS}, max(t) as last_event from notification",
    "notification_realtime_sent_1min": f"""
        select {each(1)}, count(*) as total_sent, count(distinct user_id) as unique_recipients,
               count(distinct notification_type) as unique_types
        from notification where type = 'NOTIFICATION_SENT' group by all""",
    "notification_realtime_click_rate_5min": f"""
        with taken as (
          select {each(5)}, notification_type, count(*) as sent_clicked
          from (select *, sent_time as t from deliveries where last_click_time >= sent_time) group by all)
        select each.*, percent(coalesce(sent_clicked, 0), sent)::double as click_through_rate_pct,
               coalesce(sent_clicked, 0) as sent_clicked, percent(clicked, sent)::double as clicks_per_sent_pct
        from (select {each(5)}, notification_type, count(*) {SENT} as sent, count(*) {CLICKED} as clicked,
                     count(distinct user_id) as unique_users from notification group by all) each
             left join taken using (window_start, window_end, notification_type)
        where sent > 0""",
    "notification_realtime_delivery_status": f"""
        select {each(5)}, * exclude (window_start, window_end, last_click_time, t)
        from (select *, window_start as t from ({lives("notification_id, notification_type")}))""",
    "notification_realtime_engagement_metrics": f"""
        select {SLIDING}, user_id, {RECEIVED}, {VIEW_RATE}::double as view_rate_pct,
               {CLICK_RATE}::double as click_rate_pct
        from notification, {FIVE_STARTS} group by all""",
    "notification_daily_activity": f"""
        select {DATE}, type as event_type, notification_type, count(distinct user_id) as unique_users,
               count(*) as event_count
        from notification group by all""",
    "notification_daily_sent": f"""
        select {DATE}, count(*) as total_sent, count(distinct user_id) as unique_recipients,
               count(distinct notification_type) as unique_types
        from notification where type = 'NOTIFICATION_SENT' group by all""",
    "notification_delivery_stats": """
        select notification_type, count(*) as total_sent, count(distinct user_id) as unique_recipients
        from notification where type = 'NOTIFICATION_SENT' group by all""",
    "notification_click_through_rate": f"""
        select notification_type, count(*) {SENT} as total_sent, count(*) {CLICKED} as total_clicked,
               {CLICK_RATE} as click_through_rate, count(distinct user_id) as unique_users,
               coalesce(any_value(taken), 0) as sent_clicked,
               percent(coalesce(any_value(taken), 0), count(*) {SENT}) as attributed_click_rate
        from notification left join
             (select notification_type, count(*) as taken from deliveries
              where last_click_time >= sent_time group by all) using (notification_type)
        group by all having count(*) {SENT} > 0""",
    "notification_engagement": """
        select user_id, notification_type, count(*) as notifications_clicked
        from notification where type = 'NOTIFICATION_CLICKED' group by all""",
    "notification_user_preferences": f"""
        select user_id, notification_type, count(*) {SENT} as notifications_received,
               count(*) {CLICKED} as notifications_clicked, {CLICK_RATE} as engagement_rate,
               count(*) {OPENED} as notifications_viewed, {VIEW_RATE} as view_rate
        from notification group by all having count(*) {SENT} > 0""",
    "notification_user_summary": f"""
        select user_id, count(*) {SENT} as total_received, count(*) {CLICKED} as total_clicked,
               {CLICK_RATE} as overall_engagement_rate, count(*) {OPENED} as total_viewed,
               {VIEW_RATE} as overall_view_rate, count(*) as total_events,
               count(distinct notification_type) as unique_notification_types
        from notification group by all""",
    "notification_delivery_times": f"select notification_type, {TIMES} group by all",
    "notification_daily_delivery_times": f"select {DATE}, notification_type, {TIMES} group by all",
}
