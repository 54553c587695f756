"""Where alert notices go: the log, or an address of the settings."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from watersmeet.core.errors import SettingsError, UnavailableError
from watersmeet.core.site import suggest
from watersmeet.layers.alerts import Notice, Notify, as_json, log_notice

from .settings import Notifier

TIMEOUT_SECONDS = 5.0


def notifier(targets: Mapping[str, Notifier]) -> Notify:
    """A function that sends a notice to ``log`` or posts it as JSON to a target of the settings.

    What it raises is tried again at the next round: `UnavailableError` when the target does not take the notice,
    `SettingsError` when there is no target of that name. Addresses are secrets and appear in neither.
    """

    def notify(name: str, notice: Notice) -> None:
        if name == "log":
            log_notice(name, notice)
            return
        if name not in targets:
            raise SettingsError(
                f"notifier {name!r}", expected="an entry of 'notify'", remedy=suggest(name, [*targets, "log"])
            )
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice.id}
        try:
            answer = httpx2.post(
                targets[name].url.get_secret_value(), content=as_json(notice), headers=headers, timeout=TIMEOUT_SECONDS
            )
        except httpx2.HTTPError as error:
            raise UnavailableError(f"notifier {name!r}", got=type(error).__name__) from None
        if not answer.is_success:
            raise UnavailableError(f"notifier {name!r}", expected="2xx", got=str(answer.status_code))

    return notify
