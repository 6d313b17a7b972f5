#!/usr/bin/env bash
# Sets everything up and runs all tests, with namespaces of their own (scripts/isolated.sh). In three parts side by side: in each, one
# file after the other, mostly waits for something. What the other two say is printed when all are over.
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

# Folders of about a third of the time each; the first third is all the rest
second='vxlan' third='kernel|engine|guide'
folder=$(mktemp -d)
others=()
trap '[ ${#others[@]} -eq 0 ] || kill "${others[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT
for part in "$second" "$third"; do
  "${isolated[@]}" npx ava "dist/test/@($part)/**/*.test.js" >"$folder/${#others[@]}" 2>&1 &
  others+=($!)
done
status=0
"${isolated[@]}" npx ava "dist/test/!($second|$third)/**/*.test.js" || status=$?
for process in "${others[@]}"; do wait "$process" || status=$?; done
others=()
cat "$folder"/*
exit "$status"
