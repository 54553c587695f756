"""The declarations' own tests, by module."""

from __future__ import annotations

from . import (
    examples_anomalies,
    examples_assessment,
    examples_auth,
    examples_course,
    examples_days,
    examples_notification,
    examples_overview,
    examples_profile,
    examples_video,
)

examples = [
    example
    for module in (
        examples_auth,
        examples_assessment,
        examples_video,
        examples_course,
        examples_profile,
        examples_notification,
        examples_overview,
        examples_days,
        examples_anomalies,
    )
    for example in module.examples
]
