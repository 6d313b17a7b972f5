#!/usr/bin/env bash
# Brings a fresh machine to where Tapway builds and runs: Debian packages, npm packages, the build.
# Usage: scripts/setup.sh [test]    with "test", also what the tests and the benchmarks use
set -euo pipefail
cd "$(dirname "$0")/.."

need_run=(iproute2 iputils-ping iperf3 tcpdump curl util-linux gcc libc6-dev)
need_test=(tshark python3-scapy netcat-openbsd ethtool procps nftables openvswitch-switch)
packages=("${need_run[@]}")
[ "${1:-}" = test ] && packages+=("${need_test[@]}")

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "tapway: install these packages first: ${missing[*]}" >&2
    exit 1
  fi
  echo "installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then npm ci --no-audit --no-fund --loglevel=error; fi
npm run --silent build
