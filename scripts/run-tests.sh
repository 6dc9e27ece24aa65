#!/bin/sh
# Runs pytest ($1) over tests ($3...) in two parts: most of them on $2 workers, then those marked `alone`, in one process.
# The second part runs whatever the first one said. One part without tests is no failure; two are.
set -u
unset PYTHONDONTWRITEBYTECODE # hundreds of processes import the same modules
pytest=$1 workers=$2
shift 2
"$pytest" -n "$workers" --dist loadfile -m "not alone" "$@"
beside=$?
"$pytest" -m alone "$@"
alone=$?
[ "$beside" = 5 ] && exit "$alone"
[ "$alone" = 5 ] && exit "$beside"
[ "$beside" = 0 ] && exit "$alone"
exit "$beside"
