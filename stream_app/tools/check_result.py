"""The result of a check of `headrace doctor`."""

from enum import StrEnum

import msgspec


class CheckStatus(StrEnum):
    """Outcome of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class CheckResult(msgspec.Struct, frozen=True):
    """One line of the report.

    Attributes
    ----------
    status
        After a FAIL a worker cannot work; after a warning it can.
    remedy
        What to do; empty if nothing.
    """

    status: CheckStatus
    subject: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" -> {self.remedy}" if self.remedy else ""
        return f"{self.status:<4}  {self.subject}: {self.detail}{remedy}"
