"""The identity map at a KMS: an operator's orders about numbers, and the statements that UEs get (PROFILE 12).

A statement depends on the number's row and the time only, except for its signature. Time is divided into cells, a day
or a thirtieth of a key period, and all statements of one cell are alike. Its serial is the count of the row's changes,
then the number of the cell: it rises with each cell, so that a newer statement takes an older one's place, and at once
with each change. A UE that holds a serial accepts none below it. After a restore from an older backup, or if a clock
was set back, the numbers that were changed since need another `map set`.

A statement begins a cell early, since clocks differ, and lasts a key period and its overlap.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from security.errors import SecurityError
from security.identifiers import DAY_S, KmsDomain, UidScheme, canonical_identity
from security.identity_map.signature import map_signer, sign_statement
from security.identity_map.statement import ALL_MAP_USES, MapState, MapStatement, MapUse, telephone_number
from security.kms.audit import Detail
from security.kms.authority import Authority
from security.kms.number_records import NumberRow
from security.kms.operator_orders import OPERATOR, check_identity
from security.kms.service import Caller, KmsService
from security.kms_wire.errors import KmsConfigError

CELLS_TO_A_PERIOD: Final = 30
MAX_CHANGES: Final = 1 << 31
"""The count of changes is the upper half of the serial."""


def map_number(service: KmsService, number: str, identity: str, uses: MapUse = ALL_MAP_USES) -> NumberRow:
    """Map a number to an identity from now on; this replaces an earlier one.

    Raises KmsConfigError for an impossible order.
    """
    domain = service.authority.domain
    _check_number(number, domain)
    check_identity(identity, domain)
    if not uses:
        raise KmsConfigError("a number is mapped for at least one use")
    with service.database.begin() as records:
        if records.is_denied(identity):
            raise KmsConfigError(f"{identity} is revoked; no number leads to it")
        if records.is_group(identity):
            raise KmsConfigError(f"{identity} is a group's identity; a number leads to one user")
        held = records.numbers((number,)).get(number)
        row = NumberRow(number=number, identity=identity, uses=uses, state=MapState.VALID, change=_next_change(held))
        records.put_number(row)
        detail: Detail = {"identity": identity, "uses": names_of(uses), "change": row.change}
        service.audit(records, actor=OPERATOR, action="map-number", subject=number, detail=detail)
    return row


def unmap_number(service: KmsService, number: str) -> NumberRow:
    """Take a number from its holder; this is a statement too. Raises KmsConfigError if it has none."""
    _check_number(number, service.authority.domain)
    with service.database.begin() as records:
        held = records.numbers((number,)).get(number)
        if held is None or held.state is not MapState.VALID:
            raise KmsConfigError(f"{number} has no holder here")
        row = NumberRow(
            number=number, identity=held.identity, uses=held.uses, state=MapState.NOBODY, change=_next_change(held)
        )
        records.put_number(row)
        detail: Detail = {"identity": held.identity, "change": row.change}
        service.audit(records, actor=OPERATOR, action="unmap-number", subject=number, detail=detail)
    return row


def names_of(uses: MapUse) -> list[str]:
    """The uses by name, in order."""
    return [use.name.lower() for use in MapUse if use in uses and use.name is not None]


def statement_of(row: NumberRow, domain: KmsDomain, now_ntp_s: int) -> MapStatement:
    """The KMS's statement about a number in the cell of a time."""
    cell_s = DAY_S if domain.uid_scheme == UidScheme.MONTHLY_TEL else max(1, domain.key_period_s // CELLS_TO_A_PERIOD)
    cell = now_ntp_s // cell_s
    issued_ntp_s = max(0, (cell - 1) * cell_s)
    start, end = domain.period_bounds(domain.period_of(issued_ntp_s))
    return MapStatement(
        kms_uri=domain.uri,
        serial=row.change << 32 | cell,
        issued_ntp_s=issued_ntp_s,
        not_before_ntp_s=issued_ntp_s,
        not_after_ntp_s=issued_ntp_s + int(end - start + domain.overlap_s()),
        number=row.number,
        identity=row.identity,
        scheme=domain.uid_scheme,
        uses=row.uses,
        state=row.state,
    )


def signed_statement(authority: Authority, row: NumberRow, now_ntp_s: int) -> bytes:
    """The same statement, signed. Raises SecurityError."""
    domain = authority.domain
    statement = statement_of(row, domain, now_ntp_s)
    keys = authority.map_signing_keys(domain.period_of(statement.issued_ntp_s))
    return sign_statement(statement, keys=keys, kpak=domain.kpak, random=secrets.token_bytes)


def statements_for(service: KmsService, caller: Caller, numbers: Sequence[str]) -> tuple[int, tuple[bytes, ...]]:
    """The KMS's time, and its statements about those of these numbers that it knows.

    Raises KmsRefusal for an unknown user.
    """
    now_ntp_s = service.clocks.lab_ntp_s()
    service.identities(caller)
    with service.database.read() as records:
        rows = records.numbers(numbers)
    return now_ntp_s, tuple(signed_statement(service.authority, rows[number], now_ntp_s) for number in sorted(rows))


def _check_number(number: str, domain: KmsDomain) -> None:
    try:
        uri = canonical_identity(f"tel:{telephone_number(number)}")
        map_signer(domain.uri)
    except SecurityError as exc:
        raise KmsConfigError(str(exc)) from exc
    if not domain.speaks_for(uri):
        raise KmsConfigError(f"{number} is outside this KMS's namespace ({', '.join(domain.namespace)})")


def _next_change(held: NumberRow | None) -> int:
    change = held.change + 1 if held else 1
    if change >= MAX_CHANGES:
        raise KmsConfigError("the number was changed too often")
    return change
