"""Every module of the app that declares something."""

from __future__ import annotations

from . import anomalies, assessment, auth, course, days, longer, notification, overview, profile, video

__all__ = [
    "anomalies",
    "assessment",
    "auth",
    "course",
    "days",
    "longer",
    "notification",
    "overview",
    "profile",
    "video",
]
