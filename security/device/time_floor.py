"""The effect of a contact with the home KMS on the time floor.

The floor is the latest time that a UE knows to be past. The own clock raises it as it runs; a KMS contact tells the
true time within W. A KMS a minute ahead or behind must not shut a UE out that is right, so a contact puts the floor at
the KMS's time - W where it is lower than that. It takes the floor back only where the floor contradicts the KMS: where
a clock that agrees with the KMS would be judged to be below the floor. That counts as a lost record: what was dropped
while the floor was too high could come again, so nothing dated up to the KMS's time is taken from then on. The first
contact after a record was lost does the same: the new record began by a clock that may have been wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from security.device.record_state import WINDOW_S


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsContact:
    """The change of the time floor at a contact. `lowered`: the floor had been wrong, and the record counts as lost."""

    floor_ntp_s: int
    lowered: bool


def judge_kms_time(floor_ntp_s: int, kms_ntp_s: int, *, keys_end_ntp_s: int) -> KmsContact:
    """The floor after an authenticated contact with the home KMS at its time `kms_ntp_s`.

    It rises no further than the end of the newest key period held, as for the own clock; 0: there is none, and no
    bound.
    """
    told_ntp_s = min(kms_ntp_s - WINDOW_S, keys_end_ntp_s or kms_ntp_s)
    if floor_ntp_s - WINDOW_S > kms_ntp_s:
        return KmsContact(floor_ntp_s=told_ntp_s, lowered=True)
    return KmsContact(floor_ntp_s=max(floor_ntp_s, told_ntp_s), lowered=False)
