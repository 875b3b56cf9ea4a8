"""The IMS carrier: a UE's Direct Connection Request as a SIP INVITE, its Accept as the 200 (PROFILE 12)."""
