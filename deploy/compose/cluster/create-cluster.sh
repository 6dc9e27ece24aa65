#!/bin/sh
# Makes a Cluster of SERVERS ("host:port ..."), the first half primaries; does nothing where they are one already.
set -eu
secrets=${SECRETS:-/run/secrets}
REDISCLI_AUTH=$(cat "$secrets/admin-password")
export REDISCLI_AUTH
set -- --user admin --tls --cacert "$secrets/ca.crt" --cert "$secrets/client.crt" --key "$secrets/client.key"
first=${SERVERS%% *}
state() { redis-cli -h "${first%:*}" -p "${first##*:}" "$@" CLUSTER INFO | tr -d '\r' | sed -n 's/^cluster_state://p'; }

if [ "$(state "$@")" != ok ]; then
    # shellcheck disable=SC2086  # a list of words
    redis-cli "$@" --cluster create $SERVERS --cluster-replicas 1 --cluster-yes
fi
left=60
until [ "$(state "$@")" = ok ]; do
    [ "$left" -gt 0 ] || { echo "create-cluster.sh: the Cluster does not become ready" >&2; exit 1; }
    left=$((left - 1))
    sleep 1
done
echo "the Cluster is ready"
