#!/usr/bin/env bash
# Sets everything up and measures: Tapway and the kernel side by side, the micro-benchmarks, the footprint. In a mount namespace
# of its own, with its own /run/netns and /run/tapway, so that it can neither see nor hurt anybody else's namespaces.
# Usage: scripts/bench.sh [--scenario bridge] [--only tcp1,udp] [--with ovs,vde] [--runs 5] [--seconds 2]    (--help says more)
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *' --help '* | *' -h '*) [ -f dist/bench/main.js ] && exec node dist/bench/main.js --help ;; esac
scripts/setup.sh test

if [ "$(id -u)" != 0 ]; then
  echo 'tapway: the benchmark needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN); npm run bench:micro does not' >&2
  exit 1
fi

# Other switches only when they are asked for. They must not start as services: the bench starts its own.
install() {
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed' && return
  command -v apt-get >/dev/null || { echo "tapway: install this package first: $1" >&2; exit 1; }
  echo "installing $1" >&2
  (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod +x "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
  )
}
previous=
for word in "$@"; do
  case "$word" in --with=*) others=${word#--with=} ;; *) if [ "$previous" = --with ]; then others=$word; fi ;; esac
  previous=$word
done
case ",${others:-}," in *,ovs,* | *,ovs-packet,*) install openvswitch-switch ;; esac
case ",${others:-}," in *,vde,*) install vde2 ;; esac

exec unshare --mount --propagation private bash -euc '
  mkdir -p /run/netns /run/tapway
  mount -t tmpfs tapway-bench /run/netns
  mount -t tmpfs tapway-bench /run/tapway
  exec node dist/bench/main.js "$@"
' bash "$@"
