"""The tables of a KMS's database. Secret values are sealed; rows that decide on keys are tagged (`row_tags`)."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 3
SCHEMA_WITHOUT_TAGS: Final = 2
"""The version without tags of rows; such a database is updated when it is unsealed."""

metadata = sa.MetaData()
kms_table = sa.Table(
    "kms",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("ca_pem", sa.Text, nullable=False),
    sa.Column("audit_key", sa.String(64), nullable=False),
    sa.Column("sealed_secrets", sa.LargeBinary, nullable=False),
)
user_table = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
)
grant_table = sa.Table(
    "grants",
    metadata,
    sa.Column("uri", sa.String(252), primary_key=True),
    sa.Column("user", sa.ForeignKey("users.name"), nullable=False, index=True),
    sa.Column("uses", sa.String(64), nullable=False),
    sa.Column("not_before_ntp_s", sa.BigInteger),
    sa.Column("not_after_ntp_s", sa.BigInteger),
)
pair_table = sa.Table(
    "pairs",
    metadata,
    sa.Column("uri", sa.String(252), primary_key=True),
    sa.Column("peer", sa.String(252), primary_key=True),
)
group_table = sa.Table(
    "group_members",
    metadata,
    sa.Column("member", sa.String(252), primary_key=True),
    sa.Column("group_uri", sa.String(252), primary_key=True, index=True),
)
discovery_table = sa.Table(
    "discovery_members",
    metadata,
    sa.Column("user", sa.ForeignKey("users.name"), primary_key=True),
    sa.Column("discovery_group", sa.String(64), primary_key=True),
)
denied_table = sa.Table(
    "denied_identities",
    metadata,
    sa.Column("uri", sa.String(252), primary_key=True),
    sa.Column("listed_until_ntp_s", sa.BigInteger, nullable=False, index=True),
)
trusted_table = sa.Table(
    "trusted_domains",
    metadata,
    sa.Column("uri", sa.String(252), primary_key=True),
    sa.Column("parameters", sa.Text, nullable=False),
)
token_table = sa.Table(
    "enrolment_tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("user", sa.ForeignKey("users.name"), nullable=False),
    sa.Column("expires_unix_s", sa.BigInteger, nullable=False),
    sa.Column("used", sa.Boolean, nullable=False, default=False),
)
certificate_table = sa.Table(
    "certificates",
    metadata,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("user", sa.ForeignKey("users.name"), nullable=False),
)
operator_table = sa.Table(
    "operators",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("public_key", sa.String(64), nullable=False, unique=True),
)
intercept_table = sa.Table(
    "intercept_orders",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("requested_by", sa.ForeignKey("operators.name"), nullable=False),
    sa.Column("request_signature", sa.String(128), nullable=False),
    sa.Column("approved_by", sa.ForeignKey("operators.name")),
    sa.Column("approval_signature", sa.String(128)),
)
countersignature_table = sa.Table(
    "countersignatures",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.String(16), primary_key=True),
    sa.Column("operator", sa.ForeignKey("operators.name"), nullable=False),
    sa.Column("lines", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)
audit_stream_table = sa.Table(
    "audit_streams",
    metadata,
    sa.Column("stream", sa.String(64), primary_key=True),
    sa.Column("lines", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
audit_table = sa.Table(
    "audit",
    metadata,
    sa.Column("stream", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)
number_table = sa.Table(
    "numbers",
    metadata,
    sa.Column("number", sa.String(16), primary_key=True),
    sa.Column("identity", sa.String(252), nullable=False, index=True),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
)
"""The identity map; a database of an earlier program has no such table until it is unsealed."""
sealed_part_table = sa.Table(
    "sealed_parts",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
row_tag_table = sa.Table(
    "row_tags",
    metadata,
    sa.Column("subject", sa.String(280), primary_key=True),
    sa.Column("table_name", sa.String(32), primary_key=True),
    sa.Column("row_key", sa.String(640), primary_key=True),
    sa.Column("bucket", sa.Integer, nullable=False, index=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("tag", sa.String(64), nullable=False),
)
row_bucket_table = sa.Table(
    "row_buckets",
    metadata,
    sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False, index=True),
    sa.Column("tag", sa.String(64), nullable=False),
)
row_root_table = sa.Table(
    "row_root",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("tag", sa.String(64), nullable=False),
)
