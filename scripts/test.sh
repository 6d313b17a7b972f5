#!/usr/bin/env bash
# Sets everything up and runs all tests. Namespaces have machine-wide names: the tests get a mount namespace of their own, with
# their own /run/netns and /run/tapway, so that they can neither see nor hurt anybody else's.
# Usage: scripts/test.sh [file or pattern of ava ...]
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

exec unshare --mount --propagation private bash -euc '
  mkdir -p /run/netns /run/tapway
  mount -t tmpfs tapway-test /run/netns
  mount -t tmpfs tapway-test /run/tapway
  export TAPWAY_TEST_ISOLATED=1
  status=0
  npx ava "$@" || status=$?
  # The sweep: what a test left behind is a failure of that test, and must not stay.
  left=$(ls /run/netns)
  for ns in $left; do ip netns del "$ns" || true; done
  if [ -n "$left" ]; then echo "namespaces left behind: $left" >&2; [ $status -ne 0 ] || status=1; fi
  exit $status
' bash "$@"
