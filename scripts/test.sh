#!/usr/bin/env bash
# Sets everything up and runs all tests, with namespaces of their own (scripts/isolated.sh).
# Usage: scripts/test.sh [file or pattern of ava ...]    compiled tests, as dist/test/wire/*.test.js
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test

if [ "$(id -u)" != 0 ]; then
  if [ -n "${CI:-}" ]; then
    echo 'tapway: the tests need root (CAP_NET_ADMIN, CAP_SYS_ADMIN)' >&2
    exit 1
  fi
  echo 'tapway: NOT ROOT: every test with real namespaces is skipped' >&2
  exec npx ava "$@"
fi

exec scripts/isolated.sh npx ava "$@"
