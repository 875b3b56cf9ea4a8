"""Hearing reports go out and are believed on established links with integrity alone."""

from types import SimpleNamespace

import pytest

from prose_link.ue.hearing_reports import HearingReports
from radio.access.protocol import ReportDue
from radio.l2.indications import SduReceived
from radio.l2.lte_mode2.hearing_report import HearingReportError
from radio.l2.pdcp import SduType

PEER, KD_SESS_ID = 0x5C1B02, 0x2107
DUE = ReportDue(peer_l2=PEER, octets=b"report")


class Link:
    """What `HearingReports` asks of signalling, bearers and access."""

    def __init__(self, *, null_integrity=False, is_up=True, is_direct=True, error=None):
        self.sent, self.taken = [], []
        self._context = SimpleNamespace(null_integrity=null_integrity)
        self._is_up, self._error = is_up, error
        self._party = SimpleNamespace(via=SimpleNamespace(is_direct=is_direct))

    def context(self, peer_l2, kd_sess_id):
        return self._context if (peer_l2, kd_sess_id) == (PEER, KD_SESS_ID) else None

    def user_data_party(self, peer_l2):
        return self._party if self._is_up else None

    def user_data_id(self, peer_l2):
        return KD_SESS_ID if self._is_up else None

    def admits_user_data(self, peer_l2, kd_sess_id):
        return self._is_up

    def send_report(self, octets, to, kd_sess_id):
        self.sent.append((octets, kd_sess_id))

    def take_report(self, peer_l2, octets):
        if self._error:
            raise self._error
        self.taken.append((peer_l2, octets))

    @property
    def reports(self):
        return HearingReports(self, self, self)


def sdu(*, lcid=30, protected=True, kd_sess_id=KD_SESS_ID, src_l2=PEER):
    return SduReceived(
        src_l2=src_l2,
        dst_l2=0x5C1A01,
        lcid=lcid,
        sdu_type=SduType.HEARING_REPORT,
        kd_sess_id=kd_sess_id,
        data=b"report",
        protected=protected,
    )


def test_on_a_link_with_integrity_reports_go_both_ways():
    link = Link()
    link.reports.send(DUE)
    assert link.sent == [(b"report", KD_SESS_ID)]
    assert link.reports.receive(sdu()) == ""
    assert link.taken == [(PEER, b"report")]


@pytest.mark.parametrize("link", [Link(null_integrity=True), Link(is_up=False), Link(is_direct=False)])
def test_none_is_sent_without_link_integrity_or_radio(link):
    link.reports.send(DUE)
    assert link.sent == []


@pytest.mark.parametrize(
    ("link", "heard"),
    [
        (Link(), sdu(protected=False)),
        (Link(), sdu(kd_sess_id=0)),
        (Link(), sdu(lcid=1)),
        (Link(), sdu(src_l2=0x123456)),
        (Link(null_integrity=True), sdu()),
        (Link(is_up=False), sdu()),
        (Link(error=HearingReportError("no report")), sdu()),
    ],
)
def test_nobody_outside_the_link_steers_a_sender(link, heard):
    assert link.reports.receive(heard)
    assert link.taken == []
