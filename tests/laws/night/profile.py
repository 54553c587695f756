"""Profiles, said again in SQL."""

from __future__ import annotations

from .windows import ALWAYS, DATE, each

UPDATED, PICTURED = "filter (type = 'UPDATE_PROFILE')", "filter (type = 'PROFILE_PICTURE_UPDATED')"
EITHER = "filter (type in ('UPDATE_PROFILE', 'PROFILE_PICTURE_UPDATED'))"

CHANGES = f"""
    count(distinct user_id) {EITHER} as users_updated_profile, count(*) {EITHER} as total_updates,
    count(*) {UPDATED} as general_updates, count(*) {PICTURED} as avatar_changes"""
OTHERS = """
    count(*) filter (type = 'CREATE_PROFILE') as profiles_created,
    count(*) filter (type = 'PASSWORD_CHANGED') as password_changes"""
FIGURES = f"count(*) as event_count, count(distinct user_id) as unique_users, {CHANGES}, {OTHERS}"
FIELDS = """
    coalesce(len(list_distinct(flatten(list(updated_fields) filter (type = 'UPDATE_PROFILE')))), 0)
    as unique_fields_updated"""

TOUCHED = """
create table touched as
select distinct seq, user_id, role, t, unnest(updated_fields) as field_name from profile where type = 'UPDATE_PROFILE'
"""
"""One row for each field that an update touches, once however often the update names it."""

TABLES = (TOUCHED,)

ORACLES = {
    "profile_activity": f"select {each(1)}, type as event_type, {FIGURES} from profile group by all",
    "profile_realtime_activity_15min": f"select {each(15)}, {FIGURES} from profile group by all",
    "profile_realtime_activity_1h": f"select {each(60)}, {FIGURES} from profile group by all",
    "profile_fields": f"""
        select {each(1)}, field_name, count(*) as total_updates, count(distinct user_id) as unique_users_updating,
               count(distinct field_name) as unique_fields_updated
        from touched group by all""",
    "profile_users": f"""
        select {ALWAYS}, user_id, count(*) {UPDATED} as total_profile_updates, min(t) {UPDATED} as first_update,
               max(t) {UPDATED} as last_update, count(*) {PICTURED} as avatar_changes_count,
               min(t) {PICTURED} as first_change, max(t) {PICTURED} as last_change
        from profile where type in ('UPDATE_PROFILE', 'PROFILE_PICTURE_UPDATED') group by all""",
    "profile_realtime_updates_1min": f"select {each(1)}, {CHANGES}, {FIELDS}, {OTHERS} from profile group by all",
    "profile_daily_updates": f"select {DATE}, {CHANGES}, {FIELDS}, {OTHERS} from profile group by all",
    "profile_daily_activity": f"""
        select {DATE}, type as event_type, count(distinct user_id) as unique_users, count(*) as event_count
        from profile group by all""",
    "profile_update_frequency": """
        select user_id, count(*) as total_profile_updates, min(t) as first_update, max(t) as last_update
        from profile where type = 'UPDATE_PROFILE' group by all""",
    "profile_field_changes": """
        select field_name, count(*) as total_updates, count(distinct user_id) as unique_users_updating
        from touched group by all""",
    "profile_avatar_changes": """
        select user_id, count(*) as avatar_changes_count, min(t) as first_change, max(t) as last_change
        from profile where type = 'PROFILE_PICTURE_UPDATED' group by all""",
    "profile_days": f"""
        select {each(1440)}, user_id, role, type as event_type, count(*) as event_count,
               count(distinct user_id) as unique_users, count(*) {UPDATED} as profile_updates,
               count(*) {PICTURED} as avatar_changes, min(t) as first_event, max(t) as last_event
        from profile group by all""",
    "profile_field_days": f"""
        select {each(1440)}, user_id, role, field_name, count(*) as total_updates,
               count(distinct user_id) as unique_users_updating, max(t) as last_update
        from touched group by all""",
}
