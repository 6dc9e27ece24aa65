#!/bin/sh
# backup.sh DATA_DIR FILE.tar [redis-cli OPTIONS...]: copies a running server's append-only files. Best run on a replica.
# The password comes from REDISCLI_AUTH; the user needs +config|get +config|set +info +bgrewriteaof +ping.
# While it runs no rewrite may start (it would delete files under the copy), so automatic ones are off; see
# https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
# If it is killed with -9, set auto-aof-rewrite-percentage again (100 by default).
set -eu
data=${1:?usage: backup.sh DATA_DIR FILE.tar [redis-cli options]}
file=${2:?usage: backup.sh DATA_DIR FILE.tar [redis-cli options]}
shift 2
wait_s=${BACKUP_WAIT_S:-600}

fail() { echo "backup.sh: $*" >&2; exit 1; }
ask() { # redis-cli's exit code says nothing about error replies: look at the text
    reply=$(redis-cli --no-auth-warning --raw "$@" 2>&1) || fail "redis-cli: $reply"
    case $reply in ERR*|NOAUTH*|NOPERM*|WRONGPASS*|LOADING*) fail "$reply" ;; esac
    printf '%s\n' "$reply" | tr -d '\r'
}
fact() { ask "$@" INFO persistence | sed -n "s/^$fact://p"; }
no_rewrite() {
    left=$wait_s
    while :; do
        fact=aof_rewrite_in_progress; running=$(fact "$@")
        fact=aof_rewrite_scheduled; planned=$(fact "$@")
        [ "$running$planned" = 00 ] && return
        [ -n "$running" ] || fail "this server does not tell of its rewrites"
        [ "$left" -gt 0 ] || fail "a rewrite did not end within $wait_s s"
        left=$((left - 1)); sleep 1
    done
}

[ ! -e "$file" ] || fail "$file is there already"
fact=aof_enabled
[ "$(fact "$@")" = 1 ] || fail "this server has no append-only file: appendonly yes"
[ -d "$data/appendonlydir" ] || fail "$data/appendonlydir is not there: is $data this server's dir, on this machine?"

percentage=$(ask "$@" CONFIG GET auto-aof-rewrite-percentage | sed -n 2p)
made=$(mktemp -d "$file.XXXXXX")
restore_percentage() { redis-cli --no-auth-warning "$@" CONFIG SET auto-aof-rewrite-percentage "$percentage" >/dev/null; }
trap 'restore_percentage "$@" || echo "backup.sh: set auto-aof-rewrite-percentage $percentage again" >&2; rm -rf "$made" "$made.tar"' EXIT
trap 'exit 1' HUP INT TERM
ask "$@" CONFIG SET auto-aof-rewrite-percentage 0 >/dev/null
no_rewrite "$@"
ask "$@" BGREWRITEAOF >/dev/null # a small copy: the data as it is now, and what is written meanwhile
no_rewrite "$@"
fact=aof_last_bgrewrite_status
[ "$(fact "$@")" = ok ] || fail "the rewrite failed (disk or memory full?): see the server's log"

cp -Rp "$data/appendonlydir" "$made/"
[ ! -f "$data/nodes.conf" ] || cp -p "$data/nodes.conf" "$made/" # a Cluster node's name and slots
manifest=$made/appendonlydir/$(ls "$made/appendonlydir" | grep '\.manifest$')
# the copy may end in the middle of a command; that one is cut off, whole
redis-check-aof "$manifest" >/dev/null 2>&1 || echo y | redis-check-aof --fix "$manifest" >/dev/null 2>&1 || true
redis-check-aof "$manifest" >"$made/check" 2>&1 || fail "the copy cannot be read: $(tail -1 "$made/check")"
rm -f "$made/check"
(umask 077 && tar -C "$made" -cf "$made.tar" . && mv "$made.tar" "$file")
(cd "$(dirname "$file")" && sha256sum "$(basename "$file")" >"$(basename "$file").sha256")
echo "$file: $(wc -c <"$file" | tr -d ' ') bytes"
