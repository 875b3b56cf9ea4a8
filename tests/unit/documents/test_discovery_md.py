"""docs/discovery.md says what the code does: its examples run, its tables are the codec's."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from prose_link.config.ue import UeConfig
from prose_link.discovery.codec import BODY_OCTETS, LAYOUTS
from prose_link.discovery.entity import KEEP_RESOURCE, REPEATS_S
from prose_link.discovery.numbers import NUMBERS
from prose_link.discovery.own_messages import RESPONSES, SOLICITATIONS
from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.ue.discovery_setup import discovery_entity
from security.identifiers import KeyRing, UidScheme
from security.kms.authority import Authority, MasterSecrets
from tests.doubles.discovery_period import sent_in_period

TEXT = (Path(__file__).parents[3] / "docs" / "discovery.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
NAMES = {"discovery group ID": "discovery_group_id", "user info ID": "user_info_id", "ProSe UE ID": "prose_ue_id"}
NAMES |= {"target user info ID": "target_user_info_id", "relay service code": "relay_service_code"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_make_a_ue_that_sends(example):
    document = tomllib.loads(example) | {"name": "ue-a", "identity": "tel:+447700900001", "l2_id": 7}
    document |= {"kms": {"url": "", "ticket": "t", "store": "s"}, "utc_at_power_on": "2026-03-10T12:00:00Z"}
    config = UeConfig.model_validate(document)
    kms = Authority.found(
        MasterSecrets.from_demo_seed(1),
        uri="kms.example",
        uid_scheme=UidScheme.MONTHLY_TEL,
        key_period_s=0,
        key_period_offset_s=0,
        namespace=("tel:*",),
    )
    period = kms.domain.period_of(config.utc_s_at_power_on + NTP_EPOCH_OFFSET_S)
    keys = [kms.discovery_keys(name, period) for name in ("chess-club", "0051ab")]
    entity = discovery_entity(config, KeyRing([kms.domain], []), keys, np.random.default_rng(1))
    assert sent_in_period(entity, 18, Instant(1.0, config.utc_s_at_power_on + 1))


def test_the_table_of_messages_is_the_codecs():
    rows = re.findall(r"^\| ([a-z ]+) \| 0x([0-9a-f]{2}) \| ([AB]) \| (.*) \|$", TEXT, re.MULTILINE)
    said = {}
    for name, octet, model, body in rows:
        fields = [field.rsplit(" ", 1) for field in body.split(", ")]
        assert sum(int(octets) for _, octets in fields) == BODY_OCTETS
        assert int(octet, 16) & 3 == "AB".index(model) + 1
        layout = {NAMES.get(field, field): int(octets) for field, octets in fields if field != "spare"}
        said[name] = (int(octet, 16), layout)
    assert said == {
        kind.TYPE.name.lower().replace("_", " "): (int(kind.TYPE), dict(layout)) for kind, layout in LAYOUTS.items()
    }


def test_figures_are_the_codes():
    assert len(EXAMPLES) == 4
    assert f"within {NUMBERS.max_offset_s} s" in TEXT and f"more than {REPEATS_S:.0f} s" in TEXT
    assert (SOLICITATIONS, RESPONSES) == (4, 2) and "in four discovery periods, an answer in two" in TEXT
    assert KEEP_RESOURCE == 0.5 and "Half the time" in TEXT
