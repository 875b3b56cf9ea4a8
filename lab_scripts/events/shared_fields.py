"""The meaning of fields whose name means the same in every event.

Any other field has its meaning as the string under it, in the class. Such a string has precedence over this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SHARED_FIELDS: Final[Mapping[str, str]] = {
    "cause": "Cause of a Reject, as docs/profile.md numbers them.",
    "cfo_hz": "Carrier frequency offset against the UE's own oscillator.",
    "code": "The code of restricted discovery.",
    "destination_l2": "Layer-2 id of the UE that the frame is for.",
    "detail": "More than `why`, for the log; may be empty.",
    "dst_l2": "Layer-2 id of the receiver, or of the group.",
    "eea": "Number of the ciphering algorithm, 0 to 3 (128-EEA).",
    "eia": "Number of the integrity algorithm, 0 to 3 (128-EIA).",
    "epoch": "Number of the group's key; it only rises.",
    "finished_s": "Monotonic time of the end, seconds since power-on.",
    "group": "Identity of the group.",
    "group_l2": "Layer-2 id of the group.",
    "hub_block": "Block of 1 ms that the emulator was at.",
    "identity": "Identity (URI) of the UE.",
    "kd_sess_id": "KD-sess ID of the security context in use.",
    "key_periods": "Numbers of the key periods.",
    "key_period": "Number of the key period.",
    "keyer": "Identity of the keyer that is spoken of.",
    "kms": "URI of the KMS.",
    "lab_deterministic": "The keys are demo keys, made from a seed: anyone can make them too.",
    "lcid": "Logical channel ID.",
    "mode": "Keying mode: 0 one I_MESSAGE to the group identity, 1 one to each member.",
    "n_prb": "Width of the channel in physical resource blocks.",
    "n_sl_id": "SLSS ID of the synchronisation source.",
    "now_ntp_s": "The UE's own clock, seconds since 1900.",
    "number": "Telephone number, E.164 with +.",
    "octets": "Size of the content.",
    "origin_l2": "Layer-2 id of the UE that the frame is from.",
    "peer": "Identity (URI) of the other end.",
    "peer_l2": "Layer-2 id of the other end.",
    "pgk_id": "Identifier of the group's key (PGK ID).",
    "prose_ue_id": "ProSe UE ID, which is the layer-2 id of the sender.",
    "recipient": "Identity that the key is sent to.",
    "request_hash": "Hash of the request (HR).",
    "s_rsrp_dbm": "Received power of the source's reference signals (S-RSRP).",
    "sample_rate_hz": "Samples of baseband a second.",
    "scope_id": "Discovery group ID, or relay service code.",
    "sender_l2": "Layer-2 id of the sender.",
    "sha256": "SHA-256 of the content, hex.",
    "snr_db": "Ratio of signal to noise at the receiver.",
    "src_l2": "Layer-2 id of the sender.",
    "started_s": "Monotonic time of the begin, seconds since power-on.",
    "step": "Number of the check that failed, in the order of the profile.",
    "subframe": "The UE's unwrapped count of subframes.",
    "transfer_id": "Number that the sender gave the transfer.",
    "ue": "Name of the UE.",
    "user_info_id": "User info ID of the sender.",
    "verified": "A MIC proves that a holder of the discovery keys sent it.",
    "why": "The reason, in words.",
}
