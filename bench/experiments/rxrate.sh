#!/usr/bin/env bash
# An experiment: 60-byte frames over a veth pair, received by a packet socket, a packet ring or AF_XDP, by turns (rxrate.c).
# The sender is the benchmark's udpflood. Needs root; makes namespaces of its own in a mount namespace of its own.
# Usage: bench/experiments/rxrate.sh [RUNS [SECONDS]]
set -euo pipefail
cd "$(dirname "$0")"
[ -n "${TAPWAY_TEST_ISOLATED:-}" ] || exec ../../scripts/isolated.sh "./$(basename "$0")" "$@"
runs=${1:-5} seconds=${2:-2}
folder=$(mktemp -d)
trap 'ip netns del rx-a 2>/dev/null || true; ip netns del rx-b 2>/dev/null || true; rm -rf "$folder"' EXIT
cc -O2 -Wall -o "$folder/rxrate" rxrate.c
cc -O2 -Wall -o "$folder/udpflood" ../native/udpflood.c
ip netns add rx-a
ip netns add rx-b
ip -n rx-a link add eth0 type veth peer name eth0 netns rx-b
for ns in rx-a rx-b; do ip -n $ns link set lo up; ip -n $ns link set eth0 up; done
# The receiver's own stack gets nothing, as with a device port (docs/decisions/0007)
ip netns exec rx-b tc qdisc add dev eth0 clsact
ip netns exec rx-b tc filter add dev eth0 ingress bpf da skip_hw bytecode '1,6 0 0 2'
mac() { ip -n "$1" -j link show dev eth0 | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["address"].replace(":", ""))'; }
# Ethernet; IPv4, UDP, DF, 10.9.0.1 to 10.9.0.2, 46 bytes; ports 9001 and 9000, no checksum; 18 bytes
frame="$(mac rx-b)$(mac rx-a)0800"4500002e00004000401126ab0a0900010a090002"23292328001a0000"$(printf '00%.0s' $(seq 18))
for _ in $(seq "$runs"); do
  for mode in packet ring xdp; do
    ip netns exec rx-a "$folder/udpflood" eth0 $((seconds * 1000 + 600)) "$frame" >"$folder/sent" &
    sleep 0.3
    ip netns exec rx-b "$folder/rxrate" "$mode" eth0 "$seconds"
    wait
  done
done | python3 medians.py
