#!/usr/bin/env bash
# Runs a command as tests want it: namespaces have machine-wide names, so it gets a mount namespace of its own, with its own /run/netns and
# /run/tapway, and can neither see nor hurt anybody else's. Namespaces that are left behind are removed, and are a failure.
# Usage: scripts/isolated.sh COMMAND...    (as root)
set -euo pipefail
exec unshare --mount --propagation private bash -euc '
  mkdir -p /run/netns /run/tapway
  mount -t tmpfs tapway-test /run/netns
  mount -t tmpfs tapway-test /run/tapway
  export TAPWAY_TEST_ISOLATED=1
  status=0
  "$@" || status=$?
  # The sweep: what a test left behind is a failure of that test, and must not stay.
  left=$(ls /run/netns)
  for ns in $left; do ip netns del "$ns" || true; done
  if [ -n "$left" ]; then echo "namespaces left behind: $left" >&2; [ $status -ne 0 ] || status=1; fi
  exit $status
' bash "$@"
