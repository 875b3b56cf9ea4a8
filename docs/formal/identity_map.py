"""The identity map (PROFILE 12, C8): can anybody but the number's own KMS choose whom A calls?

A wants to call a number that belongs to B. Statements reach A by an attacker, which has recorded all that were ever
signed and can make what it has keys for: those of a second KMS that A trusts for another namespace, and those of a user
E of the right KMS. The one property: whatever A takes leads to B, and a number that nobody has leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final, NamedTuple

from docs.formal.case import Case, Kind
from docs.formal.search import Result
from docs.formal.terms import Term, derives, learn, message, public, signed, ssk

NOW: Final = 5
NUMBER: Final = "+447700900002"
CALL: Final = "call"
ANNOUNCE: Final = "P-Asserted-Identity"


class Statement(NamedTuple):
    """A statement: who signs, for which KMS, and its fields."""

    signer: str
    kms: str
    serial: int
    ends: int
    number: str
    identity: str
    use: str
    nobody: bool = False

    def term(self) -> Term:
        """What is signed, as a message."""
        fields = (self.kms, str(self.serial), str(self.ends), self.number, self.identity, self.use, str(self.nobody))
        return signed(self.signer, message(public("map"), *map(public, fields)))


class Checks(NamedTuple):
    """The checks of C8; each may be left out."""

    namespace_of_number: bool = True
    namespace_of_identity: bool = True
    signed_as_map: bool = True
    dates: bool = True
    number: bool = True
    use: bool = True
    serial: bool = True


RIGHT: Final = "kms.one"
OTHER: Final = "kms.two"
MAP: Final = "sip:identity-map@"
SPEAKS_FOR: Final = {RIGHT: (NUMBER, "+447700900005", "B", "C", "E"), OTHER: ("+15550100", "F")}
"""Numbers and identities of each KMS's namespace."""
SIGNED: Final = (
    Statement(MAP + RIGHT, RIGHT, 3, 9, NUMBER, "B", CALL),
    Statement(MAP + RIGHT, RIGHT, 2, 9, NUMBER, "C", CALL),
    Statement(MAP + RIGHT, RIGHT, 4, 4, NUMBER, "C", CALL),
    Statement(MAP + RIGHT, RIGHT, 9, 9, "+447700900005", "C", CALL),
    Statement(MAP + RIGHT, RIGHT, 9, 9, NUMBER, "C", ANNOUNCE),
)
"""What the right KMS has signed: the one in force; an older serial, of before the number was reassigned; one whose time
is over; one of another number; one of another use."""


def offered() -> Iterable[Statement]:
    """Every statement over these fields: for all signers, in force, with a serial as high as it likes."""
    yield from SIGNED
    signers = (MAP + RIGHT, MAP + OTHER, "E")
    for signer, kms, number, identity in product(signers, (RIGHT, OTHER), (NUMBER, "+15550100"), ("B", "C", "E", "F")):
        yield Statement(signer, kms, 10, 9, number, identity, CALL)


def takes(statement: Statement, checks: Checks, held_serial: int) -> bool:
    """A's checks of a statement for NUMBER."""
    names = SPEAKS_FOR[statement.kms]
    signers = (MAP + statement.kms,) if checks.signed_as_map else (MAP + statement.kms, *names)
    return (
        (statement.number in names or not checks.namespace_of_number)
        and (statement.identity in names or not checks.namespace_of_identity)
        and statement.signer in signers
        and (statement.ends >= NOW or not checks.dates)
        and (statement.number == NUMBER or not checks.number)
        and (statement.use == CALL or not checks.use)
        and (statement.serial >= held_serial or not checks.serial)
    )


def called(checks: Checks, held_serial: int) -> Result:
    """Look at every statement that the attacker can bring."""
    keys = (ssk(MAP + OTHER), ssk("E"), ssk("F"))
    known = learn(frozenset(keys), [statement.term() for statement in SIGNED])
    seen = 0
    for statement in offered():
        if not derives(known, statement.term()):
            continue
        seen += 1
        if takes(statement, checks, held_serial) and (statement.identity != "B" or statement.serial < held_serial):
            text = f"A calls {statement.identity} for {NUMBER}, by a statement of {statement.signer}"
            return Result(seen, text, (f"{statement}",))
    return Result(seen)


CLAIM: Final = "no statement leads a call for B's number to anybody else"


def _case(name: str, kind: Kind, rule: str, checks: Checks, held_serial: int = 3) -> Case:
    def run() -> Result:
        return called(checks, held_serial)

    return Case(name=f"map/{name}", label="C8", kind=kind, rule=rule, claim=CLAIM, run=run)


CASES: Final = (
    _case("statements", Kind.HOLDS, "none", Checks()),
    _case("nobody-has-it", Kind.HOLDS, "none; a statement with serial 11 said that nobody has it", Checks(), 11),
    _case(
        "other-kms-number",
        Kind.FALLS,
        "the namespace isn't asked for number and identity",
        Checks(namespace_of_number=False, namespace_of_identity=False),
    ),
    _case(
        "other-kms-identity",
        Kind.FALLS,
        "the namespace isn't asked for the number; F is of that KMS",
        Checks(namespace_of_number=False),
    ),
    _case("signed-by-user", Kind.FALLS, "any user of the KMS may sign", Checks(signed_as_map=False)),
    _case("expired", Kind.FALLS, "dates aren't checked", Checks(dates=False)),
    _case("other-number", Kind.FALLS, "the number isn't compared", Checks(number=False)),
    _case("other-use", Kind.FALLS, "the use isn't compared", Checks(use=False)),
    _case("old-serial", Kind.FALLS, "serials aren't kept", Checks(serial=False)),
)
