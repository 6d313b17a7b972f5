#!/usr/bin/env bash
# Sets everything up and measures: Tapway and the kernel side by side, the micro-benchmarks, the footprint. In a mount namespace
# of its own, with its own /run/netns and /run/tapway, so that it can neither see nor hurt anybody else's namespaces.
# Usage: scripts/bench.sh [--scenario bridge] [--only tcp1,udp] [--runs 5] [--seconds 2]    (--help says more)
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *' --help '* | *' -h '*) [ -f dist/bench/main.js ] && exec node dist/bench/main.js --help ;; esac
scripts/setup.sh test

if [ "$(id -u)" != 0 ]; then
  echo 'tapway: the benchmark needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN); npm run bench:micro does not' >&2
  exit 1
fi

exec unshare --mount --propagation private bash -euc '
  mkdir -p /run/netns /run/tapway
  mount -t tmpfs tapway-bench /run/netns
  mount -t tmpfs tapway-bench /run/tapway
  exec node dist/bench/main.js "$@"
' bash "$@"
