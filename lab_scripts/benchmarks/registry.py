"""The list of benches; each is loaded when it is run."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from lab_scripts.benchmarks.measure import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A bench in `lab_scripts.benchmarks.<module>`, where `run(quick=...)` yields its results.

    `in_overview`: whether `pc5lab bench` without a name runs it.
    """

    line: str
    module: str
    in_overview: bool = True

    def run(self, *, quick: bool) -> Iterator[Result]:
        """Measure; results come as they are ready."""
        module = importlib.import_module(f"lab_scripts.benchmarks.{self.module}")
        results: Iterator[Result] = module.run(quick=quick)
        return results


BENCHES: dict[str, Bench] = {
    "phy": Bench(line="Time of each step of the physical layer, and of a UE's subframe.", module="phy"),
    "security": Bench(line="I_MESSAGEs, signatures, key extraction and ciphering.", module="security"),
    "kms": Bench(line="Key sets a second through the KMS, and what a month's rotation takes.", module="kms"),
    "link": Bench(
        line="What a link is worth on the air: set-up, speech, latency, groups, keys, crowds.",
        module="link",
        in_overview=False,
    ),
    "bler": Bench(line="Block error rates against SNR, channel by channel.", module="bler", in_overview=False),
}
