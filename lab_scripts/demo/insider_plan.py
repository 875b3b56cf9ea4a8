"""A group of three with an insider: one member is deaf at first, another gives receipts for keys in its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab_scripts.demo.plan import Fault
from lab_scripts.runs.cell_plan import CrowdPlan, l2_id_of

KEYER, INSIDER, VICTIM = "ue-a", "ue-b", "ue-c"
N_UES: Final = 3
DEAF_UNTIL_S: Final = 2.5
"""Time on the victim's own clock: by then the keyer has its members, and has sent the key more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsiderPlan(CrowdPlan):
    """The keyer distributes one key and sends one message; no member joins late or is removed.

    The insider uses the victim's layer-2 id, so that it hears the PDUs to the victim.
    """

    @property
    def joiner(self) -> str:
        """None: no member joins late."""
        return ""

    def ue_options(self, name: str) -> list[str]:
        """The fault, for the UEs that take part in it."""
        return ["--fault", Fault.FORGED_RECEIPT.value] if name in (INSIDER, VICTIM) else []

    def ue_config(self, name: str, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """The configuration of one UE: members send no message, and no ask."""
        document = CrowdPlan.ue_config(self, name, kms_url=kms_url, ticket=ticket, air=air, power_on_s=power_on_s)
        document["group"] |= {"remove": "", "asks": False}
        if name == INSIDER:
            document["l2_id"] = l2_id_of(N_UES - 1)
        if name != KEYER:
            document["group"]["message_octets"] = 0
        return document


def insider_plan(seed: int, folder: Path) -> InsiderPlan:
    """The plan of the fault `forged-receipt`."""
    return InsiderPlan(seed=seed, n_ues=N_UES, group=True, folder=folder)
