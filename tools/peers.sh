#!/bin/sh
# Install the SIP programs that the tests talk to. Root on Debian installs them; anyone else is told what is missing,
# and the tests that need it are skipped (with CI=true a skip is a failure).
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin
missing=
for pair in sipp:sip-tester sipsak:sipsak baresip:baresip-core kamailio:kamailio freeradius:freeradius m4:m4 nsd:nsd \
    chromium:chromium npm:npm ip:iproute2 iptables:iptables; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
for pair in db_sqlite:sqlite tls:tls; do
    ls /usr/lib/*/kamailio/modules/"${pair%%:*}".so >/dev/null 2>&1 || missing="$missing kamailio-${pair#*:}-modules"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # A package must not start a server of its own here: tests start theirs on free ports.
    # shellcheck disable=SC2086
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
elif [ -n "$missing" ]; then
    echo "not here, tests that need them are skipped:$missing" >&2
fi
# A phone for the browser: JsSIP.
browser=.venv/browser
if command -v npm >/dev/null && [ ! -d "$browser/node_modules/jssip" ]; then
    echo "installing JsSIP"
    npm install --silent --no-audit --no-fund --no-package-lock --prefix "$browser" jssip@3.13
fi
