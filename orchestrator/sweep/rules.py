"""The sections of a sweep file that a night reads: when it is worse, and who is notified."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def one_or_many(value: Any) -> Any:
    """A list, also where a single text stands for one."""
    return [value] if isinstance(value, str) else value


Share = Annotated[float, Field(gt=0, lt=1)]


class GateRules(BaseModel):
    """What counts as worse (section ``worse`` of a sweep file).

    Attributes:
        false_alarms: chance of any alarm in a night in which nothing has changed, over the whole sweep.
        window: earlier nights that a night is compared with, at most.
        points: a smaller loss of a score is no alarm, however certain it is.
        slowdown, memory, efficiency: shares that the speed may fall, and that peak memory and the steps that a search
            needs may grow, without an alarm.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    false_alarms: Share = 0.02
    window: Annotated[int, Field(ge=2, le=365)] = 21
    points: Annotated[float, Field(ge=0)] = 0.5
    slowdown: Share = 0.05
    memory: Share = 0.10
    efficiency: Share = 0.10


class NotifyRules(BaseModel):
    """Who is notified of a night (section ``notify`` of a sweep file). Secrets stand in variables or files only.

    Attributes:
        when: ``worse`` (also where nothing could be compared), ``always`` or ``never``.
        webhook: name of the environment variable, or path of the file, that holds the URL.
        mail_to: addresses. mail_from: the sender's. smtp: variable or file with ``smtp[s]://user:password@host:port``.
        file: a file that gets a line of JSON for each notification.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Literal["worse", "always", "never"] = "worse"
    webhook: str = ""
    mail_to: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = ()
    mail_from: str = ""
    smtp: str = ""
    file: str = ""
