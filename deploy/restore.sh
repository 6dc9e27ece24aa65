#!/bin/sh
# restore.sh FILE.tar DATA_DIR: puts a backup into the empty folder of a server that does not run. Stop the nodes first, and
# start the server with appendonly yes: with appendonly no it would ignore these files.
# Run it as the server's user, or give the files to it afterwards.
set -eu
file=${1:?usage: restore.sh FILE.tar DATA_DIR}
data=${2:?usage: restore.sh FILE.tar DATA_DIR}
fail() { echo "restore.sh: $*" >&2; exit 1; }

[ -f "$file" ] || fail "$file is not there"
if [ -f "$file.sha256" ]; then
    (cd "$(dirname "$file")" && sha256sum -c "$(basename "$file").sha256" >/dev/null 2>&1) || fail "$file is damaged: its digest differs"
fi
mkdir -p "$data"
for old in appendonlydir dump.rdb nodes.conf; do
    [ ! -e "$data/$old" ] || fail "$data/$old is there: move the old data away first (and keep it)"
done
made=$(mktemp -d "$data/restore.XXXXXX")
trap 'rm -rf "$made"' EXIT
tar -C "$made" -xf "$file" || fail "$file cannot be unpacked"
[ -d "$made/appendonlydir" ] || fail "$file is no backup made by backup.sh"
manifest=$made/appendonlydir/$(ls "$made/appendonlydir" | grep '\.manifest$')
redis-check-aof "$manifest" >"$made/check" 2>&1 || fail "$file cannot be read by Redis: $(tail -1 "$made/check")"
mv "$made/appendonlydir" "$data/"
[ ! -f "$made/nodes.conf" ] || mv "$made/nodes.conf" "$data/"
echo "$data: restored. Start the server with appendonly yes, then: holdfast store check URL"
