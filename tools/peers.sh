#!/bin/sh
# Install the SIP programs that the tests talk to. Root on Debian installs them; anyone else is told what is missing,
# and the tests that need it are skipped (with CI=true a skip is a failure).
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin
missing=
for pair in sipp:sip-tester sipsak:sipsak baresip:baresip-core kamailio:kamailio freeradius:freeradius m4:m4 nsd:nsd; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
ls /usr/lib/*/kamailio/modules/db_sqlite.so >/dev/null 2>&1 || missing="$missing kamailio-sqlite-modules"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # A package must not start a server of its own here: tests start theirs on free ports.
    # shellcheck disable=SC2086
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "not here, tests that need them are skipped:$missing" >&2
fi
