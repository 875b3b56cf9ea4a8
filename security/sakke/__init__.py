"""SAKKE, RFC 6508 with parameter set 1 of RFC 6509."""

from security.sakke.curve import SakkePointError
from security.sakke.kem import (
    DecapsulationError,
    EncapsulationError,
    ReceiverKeyError,
    decapsulate,
    encapsulate,
    extract_rsk,
    forget_receiver_key,
    forget_receiver_keys,
    generate_master_secret,
    holds_lines_of,
    prepare_tables,
    public_master_key,
    validate_rsk,
)
from security.sakke.readable import draw_ssv, is_readable

__all__ = [
    "DecapsulationError",
    "EncapsulationError",
    "ReceiverKeyError",
    "SakkePointError",
    "decapsulate",
    "draw_ssv",
    "encapsulate",
    "extract_rsk",
    "forget_receiver_key",
    "forget_receiver_keys",
    "generate_master_secret",
    "holds_lines_of",
    "is_readable",
    "prepare_tables",
    "public_master_key",
    "validate_rsk",
]
