"""XML signatures of the XML face: HMAC-SHA256 over one element named by its Id (TS 33.180 9.3.5, XML Signature 1.1).

One form only: SignedKmsRequest or SignedKmsResponse holds the message and a ds:Signature with one Reference, to that
message's Id, without transforms. The verification requires that the signed element is the one that is read afterwards:
a signature over another part of the document proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from lxml import etree

from security.kms_wire.errors import KmsProtocolError

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
HMAC_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"


def sign(document: bytes, *, wrapper: str, key: bytes, key_name: str) -> bytes:
    """Put a message with an Id into a signed wrapper of its namespace; `document` is made by this KMS."""
    message = etree.fromstring(document, _parser())
    namespace = etree.QName(message).namespace
    prefixes = dict(message.nsmap)
    prefixes["ds"] = DS
    root = etree.Element(f"{{{namespace}}}{wrapper}", nsmap=prefixes)
    root.append(message)
    signature = etree.SubElement(root, _ds("Signature"))
    info = etree.SubElement(signature, _ds("SignedInfo"))
    etree.SubElement(info, _ds("CanonicalizationMethod"), Algorithm=C14N)
    etree.SubElement(info, _ds("SignatureMethod"), Algorithm=HMAC_SHA256)
    reference = etree.SubElement(info, _ds("Reference"), URI=f"#{message.get('Id')}")
    etree.SubElement(reference, _ds("DigestMethod"), Algorithm=SHA256)
    digest = hashlib.sha256(_canonical(message, C14N)).digest()
    etree.SubElement(reference, _ds("DigestValue")).text = base64.b64encode(digest).decode()
    value = hmac.digest(key, _canonical(info, C14N), "sha256")
    etree.SubElement(signature, _ds("SignatureValue")).text = base64.b64encode(value).decode()
    name = etree.SubElement(etree.SubElement(signature, _ds("KeyInfo")), _ds("KeyName"))
    name.text = key_name
    return etree.tostring(root, encoding="utf-8", xml_declaration=True)


def key_name(document: bytes) -> str | None:
    """The name of the signing key in a signed document; None without a signature."""
    root = _parsed(document)
    return root.findtext(f"{_ds('Signature')}/{_ds('KeyInfo')}/{_ds('KeyName')}")


def verify(document: bytes, *, message: str, key: bytes) -> None:
    """Check that the wrapper's one `message` element is what the signature covers; raises KmsProtocolError.

    The document must have passed the bounds of `annex_d.parse_request` before.
    """
    root = _parsed(document)
    messages = root.findall(f"{{{etree.QName(root).namespace}}}{message}")
    signatures = root.findall(_ds("Signature"))
    if len(messages) != 1 or len(signatures) != 1:
        raise KmsProtocolError(f"the signed document holds not one {message} and one Signature")
    info = signatures[0].find(_ds("SignedInfo"))
    value = signatures[0].findtext(_ds("SignatureValue"))
    references = info.findall(_ds("Reference")) if info is not None else []
    if info is None or value is None or len(references) != 1:
        raise KmsProtocolError("the signature is not of the form that this KMS takes")
    (reference,) = references
    method = _algorithm(info, "CanonicalizationMethod")
    transforms = [node.get("Algorithm") for node in reference.iter(_ds("Transform"))]
    if (
        method not in (C14N, EXCLUSIVE_C14N)
        or _algorithm(info, "SignatureMethod") != HMAC_SHA256
        or info.find(f"{_ds('SignatureMethod')}/{_ds('HMACOutputLength')}") is not None
        or _algorithm(reference, "DigestMethod") != SHA256
        or transforms not in ([], [C14N], [EXCLUSIVE_C14N])
    ):
        raise KmsProtocolError("the signature uses an algorithm that this KMS does not take")
    identifier = messages[0].get("Id")
    if not identifier or reference.get("URI") != f"#{identifier}":
        raise KmsProtocolError(f"the signature is not over the {message} beside it")
    if sum(node.get("Id") == identifier for node in root.iter()) != 1:
        raise KmsProtocolError("two elements have the Id that is signed")
    digest = hashlib.sha256(_canonical(messages[0], transforms[0] or C14N if transforms else C14N)).digest()
    good_value = hmac.compare_digest(hmac.digest(key, _canonical(info, method), "sha256"), _base64(value))
    good_digest = hmac.compare_digest(digest, _base64(reference.findtext(_ds("DigestValue")) or ""))
    if not (good_value and good_digest):
        raise KmsProtocolError("the signature does not verify")


def _algorithm(parent: etree._Element, name: str) -> str | None:
    node = parent.find(_ds(name))
    return node.get("Algorithm") if node is not None else None


def _canonical(element: etree._Element, method: str) -> bytes:
    """Canonical octets of an element, from a copy of its own: libxml2 gives false ones for a part of a document."""
    try:
        copy = etree.fromstring(etree.tostring(element, with_tail=False), _parser())
        return etree.tostring(copy, method="c14n", exclusive=method == EXCLUSIVE_C14N, with_comments=False)
    except etree.LxmlError as exc:
        raise KmsProtocolError("the signed document has no canonical form") from exc


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise KmsProtocolError("the signature's values are not base64") from exc


def _parsed(document: bytes) -> etree._Element:
    try:
        return etree.fromstring(document, _parser())
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise KmsProtocolError("not well-formed XML") from exc


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _ds(name: str) -> str:
    return f"{{{DS}}}{name}"
