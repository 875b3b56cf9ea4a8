"""Fuzzes one target with atheris: python tests/fuzz/run_fuzz.py TARGET [options of libFuzzer, corpus folders]

Without a corpus folder, tests/fuzz/corpus/TARGET is read; what is found new
goes to a folder of the system's place for temporary files, what fails to the working folder. Needs `atheris`
(pip install atheris); exit 77 without it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SKIPPED = 77


def main() -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is not installed (pip install atheris): nothing fuzzed", file=sys.stderr)
        return SKIPPED
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    with atheris.instrument_imports(include=["security", "prose_link", "radio.l2"]):
        from tests.fuzz import targets
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        print(f"{__doc__}\nTargets: {', '.join(targets.TARGETS)}", file=sys.stderr)
        return 2
    name, options = sys.argv[1], sys.argv[2:]
    if all(option.startswith("-") for option in options):
        found = Path(tempfile.gettempdir()) / "pc5lab-fuzz" / name
        found.mkdir(parents=True, exist_ok=True)
        options += [str(found), str(HERE / "corpus" / name)]
    target = targets.TARGETS[name]
    atheris.Setup([sys.argv[0], *options], lambda octets: targets.attempt(target, octets))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
