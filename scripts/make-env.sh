#!/bin/sh
# Makes the project's own Python environment in $1, with the exact versions of uv.lock.
set -eu
venv=$1
python=${PYTHON:-python3}

root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

"$python" - <<'PY' || { echo "Holdfast needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY

# Debian keeps ensurepip in a package of its own
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if ! command -v apt-get >/dev/null; then
        echo "this Python has no ensurepip; install its venv package, then run make again" >&2
        exit 1
    fi
    root apt-get update -q
    root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q python3-venv
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# an environment that uv made has no pip
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
"$venv/bin/python" -m pip install -q --upgrade 'uv>=0.9,<1'
UV_PROJECT_ENVIRONMENT=$venv "$venv/bin/uv" sync --frozen --inexact --quiet
