"""PSSS, SSSS and reference signals against tables other implementations printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from radio.phy.lte.channels.slss import SlssIdError, psss, split_n_sl_id, ssss
from radio.phy.lte.grid.dmrs import psbch_dmrs, pscch_dmrs, psdch_dmrs, pssch_dmrs
from radio.phy.lte.grid.layout import Mode

LTE_SIDELINK = Path(__file__).parents[3] / "vectors" / "phy" / "lte-sidelink"


def complex_of(entry, prefix=""):
    return np.array(entry[prefix + "re"]) + 1j * np.array(entry[prefix + "im"])


def test_slss_sequences():
    for entry in json.loads((LTE_SIDELINK / "slss.json").read_text()):
        n_sl_id = entry["NSLID"]
        assert np.allclose(psss(n_sl_id // 168), complex_of(entry, "psss_"), atol=1e-6)
        assert np.array_equal(ssss(n_sl_id, Mode.TM12), entry["ssss_tm12"])
        assert np.array_equal(ssss(n_sl_id, Mode.TM34), entry["ssss_tm34"])


def test_ids_outside_the_range_are_refused():
    assert split_n_sl_id(169) == (1, 1)
    for n_sl_id in (-1, 336):
        with pytest.raises(SlssIdError):
            split_n_sl_id(n_sl_id)


def test_reference_signals():
    kinds = set()
    for entry in json.loads((LTE_SIDELINK / "dmrs.json").read_text()):
        if "NSAID" in entry:
            # nPSSCHss counts slots, two to a subframe of the pool
            ours = pssch_dmrs(entry["N_PRB"], entry["NSAID"], entry["nPSSCHss"] // 2, Mode.TM12)
            kinds.add("pssch")
        elif "NSLID" in entry:
            ours = psbch_dmrs(entry["NSLID"], Mode.TM12)
            kinds.add("psbch")
        else:
            ours = pscch_dmrs() if entry["N_PRB"] == 1 else psdch_dmrs()
            kinds.add("others")
        if "re" in entry:
            assert np.allclose(ours.reshape(-1), complex_of(entry), atol=1e-4)
        else:
            first, second = complex_of(entry, "first8_"), complex_of(entry, "slot1_first8_")
            assert np.allclose(ours[:, :8], [first, second], atol=1e-4)
    assert kinds == {"pssch", "psbch", "others"}
