#!/bin/sh
# Installs the servers and tools that tests start for themselves, where they are missing. Nothing is started here.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

need redis-server redis-server # Sentinels and Clusters too are this program
need redis-cli redis-tools
need openssl openssl
need haproxy haproxy # checks the proxy's file in deploy/compose
if [ "$(uname -s)" = Linux ]; then # partitions between network namespaces; these stand in /sbin, which may not be on the PATH
    PATH="$PATH:/usr/sbin:/sbin"
    need ip iproute2
    need nft nftables
fi
need faketime faketime
need chromium chromium
command -v dpkg >/dev/null && { dpkg -s fonts-noto-cjk >/dev/null 2>&1 || missing="$missing fonts-noto-cjk"; } # the pages in Chinese
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "please install:$missing (tests that need them are skipped)" >&2
    exit 0
fi
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
# the package starts its server on install; ours are started by the tests, on ports of their own
policy=/usr/sbin/policy-rc.d
made=""
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | root tee "$policy" >/dev/null
    root chmod +x "$policy"
    made=1
fi
trap '[ -z "$made" ] || root rm -f "$policy"' EXIT
root apt-get update -q
# shellcheck disable=SC2086  # a list of words
root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q $missing
