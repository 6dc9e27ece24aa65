#!/bin/sh
# start.sh redis|sentinel: starts a server with a configuration that it may rewrite, made from the read-only one in ETC and the secrets.
# NAME: the name that others reach this server by.
# FOLLOWS="HOST PORT": whom a replica copies at its very first start; from then on its own file says whom.
# WATCHES="HOST PORT QUORUM": a Sentinel's first primary.
set -eu
kind=${1:?usage: start.sh redis|sentinel}
etc=${ETC:-/etc/redis} data=${DATA:-/data} secrets=${SECRETS:-/run/secrets}
conf=$data/$kind.conf
umask 077
secret() { cat "$secrets/$1-password"; }

case $kind in
redis)
    # The role is what failovers changed; all the rest is taken anew, so that an edited redis.conf counts after a restart.
    role=${FOLLOWS:+replicaof $FOLLOWS}
    [ -f "$conf" ] && role=$(grep '^replicaof ' "$conf" || true)
    {
        cat "$etc/redis.conf"
        echo "dir \"$data\""
        echo "masteruser replica"
        echo "masterauth $(secret replica)"
        [ -z "${NAME:-}" ] || echo "replica-announce-ip $NAME"
        [ -z "$role" ] || echo "$role"
    } >"$conf.new"
    mv "$conf.new" "$conf"
    exec redis-server "$conf"
    ;;
sentinel)
    # A Sentinel keeps all it knows in this file (its id, the epoch, the others): made once, never anew.
    if [ ! -f "$conf" ]; then
        {
            echo "dir \"$data\""
            echo "sentinel resolve-hostnames yes"
            echo "sentinel announce-hostnames yes"
            [ -z "${NAME:-}" ] || echo "sentinel announce-ip $NAME"
            echo "sentinel monitor main $WATCHES"
            cat "$etc/sentinel.conf"
            echo "sentinel auth-pass main $(secret sentinel)"
            echo "sentinel sentinel-pass $(secret sentinel)"
        } >"$conf.new"
        mv "$conf.new" "$conf"
    fi
    exec redis-server "$conf" --sentinel
    ;;
*)
    echo "start.sh: no such kind: $kind" >&2
    exit 2
    ;;
esac
