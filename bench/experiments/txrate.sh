#!/usr/bin/env bash
# An experiment: 60-byte frames into a veth pair, by a packet socket with and without sendmmsg and the queueing discipline (txrate.c),
# by turns. The other end forgets them. Needs root; makes namespaces of its own in a mount namespace of its own.
# Usage: bench/experiments/txrate.sh [RUNS [SECONDS]]
set -euo pipefail
cd "$(dirname "$0")"
[ -n "${TAPWAY_TEST_ISOLATED:-}" ] || exec ../../scripts/isolated.sh "./$(basename "$0")" "$@"
runs=${1:-5} seconds=${2:-2}
folder=$(mktemp -d)
trap 'ip netns del tx-a 2>/dev/null || true; ip netns del tx-b 2>/dev/null || true; rm -rf "$folder"' EXIT
cc -O2 -Wall -o "$folder/txrate" txrate.c
ip netns add tx-a
ip netns add tx-b
ip -n tx-a link add eth0 type veth peer name eth0 netns tx-b
for ns in tx-a tx-b; do ip -n $ns link set lo up; ip -n $ns link set eth0 up; done
ip netns exec tx-b tc qdisc add dev eth0 clsact
ip netns exec tx-b tc filter add dev eth0 ingress bpf da skip_hw bytecode '1,6 0 0 2'
# Ethernet of an experimental type (IEEE 802 local experimental), nothing in it
frame=02000000000102000000000288b5$(printf '00%.0s' $(seq 46))
for _ in $(seq "$runs"); do
  for mode in write bypass sendmmsg both; do ip netns exec tx-a "$folder/txrate" "$mode" eth0 "$seconds" "$frame"; done
done | python3 medians.py
