#!/usr/bin/env bash
# Sets everything up and runs all tests, with namespaces of their own (scripts/isolated.sh). In two halves side by side: in each, one
# file after the other, mostly waits for something. What the second one says is printed when both are over.
# Usage: scripts/test.sh [file or pattern of ava ...]    compiled tests, as dist/test/wire/*.test.js; these one after the other
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test

isolated=(scripts/isolated.sh)
if [ "$(id -u)" != 0 ]; then
  if [ -n "${CI:-}" ]; then
    echo 'tapway: the tests need root (CAP_NET_ADMIN, CAP_SYS_ADMIN)' >&2
    exit 1
  fi
  echo 'tapway: NOT ROOT: every test with real namespaces is skipped' >&2
  isolated=()
fi

[ $# -eq 0 ] || exec "${isolated[@]}" npx ava "$@"

# Folders of about half of the time; the other half is all the rest
half='vxlan|kernel'
out=$(mktemp)
trap '[ -z "${other:-}" ] || kill "$other" 2>/dev/null || true; rm -f "$out"' EXIT
"${isolated[@]}" npx ava "dist/test/@($half)/**/*.test.js" >"$out" 2>&1 &
other=$!
status=0
"${isolated[@]}" npx ava "dist/test/!($half)/**/*.test.js" || status=$?
wait "$other" || status=$?
other=
cat "$out"
exit "$status"
