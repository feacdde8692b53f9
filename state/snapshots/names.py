"""Names of snapshots, which tell their order and what they belong to."""

import re
from typing import Final, NamedTuple, Self

SUFFIX: Final = ".snapshot"
DAMAGED_SUFFIX: Final = ".damaged"
KEPT_SUFFIX: Final = ".kept"
_NAME: Final = re.compile(
    r"models-(?:(?P<series>\d{4,6})-)?(?P<number>\d{10})(?:-(?P<fingerprint>[0-9a-f]+)-(?P<writer>[0-9a-z]+))?"
    r"(?:\.snapshot|\.damaged|\.kept)"
)
_UNKNOWN: Final = "0"


class SnapshotName(NamedTuple):
    """The parts of a name, in their order: a later name is that of a newer snapshot.

    A process continues the series of the snapshot that it started from. `restore` and `rebuild` begin a new one, so
    that their snapshot stays the newest while workers that started before go on to write theirs.

    Examples
    --------
    >>> name = SnapshotName(2, 17, "8a41f3", "w1")
    >>> str(name)
    'models-0002-0000000017-8a41f3-w1.snapshot'
    >>> SnapshotName.parse(str(name)) == name
    True
    >>> SnapshotName.parse("models-0000000017.snapshot")
    SnapshotName(series=0, number=17, fingerprint='', writer='')
    """

    series: int
    number: int
    fingerprint: str = ""  # empty if unknown
    writer: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The parts of the name of a snapshot, of one set aside or of one kept; None for other files."""
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        fingerprint = match["fingerprint"] or ""
        return cls(
            int(match["series"] or 0),
            int(match["number"]),
            "" if fingerprint == _UNKNOWN else fingerprint,
            match["writer"] or "",
        )

    def __str__(self) -> str:
        if not self.writer:
            # as earlier versions wrote it
            return f"models-{self.number:010d}{SUFFIX}"
        return f"models-{self.series:04d}-{self.number:010d}-{self.fingerprint or _UNKNOWN}-{self.writer}{SUFFIX}"
