"""Where alert notices go, as settings say it: one model for each kind of channel.

notify:
  ops:   {kind: slack, url: "https://…"}
  pager: {kind: pagerduty, routing_key: "…"}
  mail:  {kind: email, host: smtp.example.org, sender: wm@example.org, to: [ops@example.org]}
  hook:  {url: "https://…"}
routes: {critical: [pager, mail], warning: [ops], info: [log]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, SecretStr, Tag


class _Channel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Webhook(_Channel):
    """Any address that takes a POST of JSON."""

    kind: Literal["webhook"] = "webhook"
    url: SecretStr = Field(description="address to which notices are posted")


class Slack(_Channel):
    """An incoming webhook of Slack, or of what imitates it."""

    kind: Literal["slack"]
    url: SecretStr = Field(description="address of the incoming webhook")


class PagerDuty(_Channel):
    """PagerDuty's Events API, version 2: a firing alert triggers an incident, its end resolves it."""

    kind: Literal["pagerduty"]
    routing_key: SecretStr = Field(description="integration key of the service")
    url: str = Field("https://events.pagerduty.com/v2/enqueue", description="address of the Events API")


class Email(_Channel):
    """Mail over SMTP."""

    kind: Literal["email"]
    host: str = Field(description="SMTP server")
    port: int = Field(587, ge=1, le=65_535, description="its port; usually 465 with tls")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is protected")
    ca_file: Path | None = Field(None, description="certificates to trust beside the system's")
    username: str = Field("", description="to log in; empty: no login")
    password: SecretStr = Field(SecretStr(""), description="to log in")
    sender: str = Field(description="address that it comes from")
    to: tuple[str, ...] = Field(min_length=1, description="addresses that it goes to")


def _kind(value: Any) -> str:
    return str(value.get("kind", "webhook") if isinstance(value, dict) else getattr(value, "kind", "webhook"))


Channel = Annotated[
    Annotated[Webhook, Tag("webhook")]
    | Annotated[Slack, Tag("slack")]
    | Annotated[PagerDuty, Tag("pagerduty")]
    | Annotated[Email, Tag("email")],
    Discriminator(_kind),
]


class Routes(_Channel):
    """Which notifiers an alert goes to that names none itself."""

    info: tuple[str, ...] = Field(("log",), description="for information")
    warning: tuple[str, ...] = Field(("log",), description="for warnings")
    critical: tuple[str, ...] = Field(("log",), description="for what must be seen to now")
