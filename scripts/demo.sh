#!/usr/bin/env bash
# Sets everything up and runs the smol internet with traffic across it: pings, a transfer, and what was dropped and why.
# Everything it makes is gone when it ends, also when it is interrupted.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
if [ "$(id -u)" != 0 ]; then
  echo 'tapway: making namespaces needs root: sudo scripts/demo.sh' >&2
  exit 1
fi

name=demo-$$
tapway() { node bin/tapway.js --name "$name" "$@"; }
bold= plain=
[ ! -t 1 ] || { bold=$'\033[1m' plain=$'\033[0m'; }
show() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; }
step() { show "$@"; "$@"; }
server=
log=$(mktemp)
finish() {
  status=$?
  trap - EXIT
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  tapway down >/dev/null 2>&1 || true
  wait 2>/dev/null || true
  rm -f "$log"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

node bin/tapway.js --name "$name" up examples/smol-internet.yaml >"$log" 2>&1 &
up=$!
for _ in $(seq 100); do
  grep -q '^ready' "$log" && break
  kill -0 $up 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
grep '^ready' "$log"

step tapway route show
step tapway exec client -- ping -c 3 -i 0.2 10.1.1.3
step tapway exec client -- ping -c 3 -i 0.2 10.1.2.2
step tapway ping -c 2 -i 0.2 10.1.2.2 router router
tapway exec server -- iperf3 -s -1 >/dev/null 2>&1 &
server=$!
for _ in $(seq 50); do
  tapway exec server -- ss -tln 2>/dev/null | grep -q ':5201 ' && break
  sleep 0.1
done
step tapway exec client -- iperf3 -c 10.1.2.2 -t 3 -f g
# Something to be dropped: a network nobody knows, and a packet that lives for one hop
show tapway exec client -- ping -c 1 -t 1 10.1.2.2
tapway exec client -- ping -c 1 -W 1 -t 1 10.1.2.2 || true
step tapway neigh show
step tapway stats
printf '\nIt crossed the router: %s\n' "$(tapway -j stats | node -e '
  const s = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
  const p = s.ports.find((p) => p.name === "router.eth1")
  console.log(`${p.rx_packets + p.tx_packets} packets by router.eth1, balance ${s.balance.ok ? "holds" : "BROKEN"}`)')"
