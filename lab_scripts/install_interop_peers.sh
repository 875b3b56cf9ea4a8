#!/usr/bin/env bash
# System packages that only the interop tests use; without them those tests skip and say so. Needs root.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
echo "wireshark-common wireshark-common/install-setuid boolean false" | debconf-set-selections
apt-get update -qq
apt-get install -y -qq --no-install-recommends tshark postgresql
# An IMS core and an independent SIP user agent; the tests start and stop Kamailio themselves, so no service is kept.
apt-get install -y -qq --no-install-recommends kamailio kamailio-tls-modules sip-tester
systemctl disable --now kamailio 2>/dev/null || true
# What talks over TUN interfaces; their tests start and stop what daemons they need.
apt-get install -y -qq --no-install-recommends iproute2 iputils-ping iperf3 openssh-server openssh-client
