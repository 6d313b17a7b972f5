#!/usr/bin/env bash
# An experiment: TCP with one stream over the kernel's bridge, through the least program that can join two TAPs (least.c), which waits by epoll or by
# io_uring, and through Tapway, by turns. So much of what Tapway is behind the kernel is not Tapway's. All switches keep to the upper processor, as
# Tapway does with bulk traffic. Needs root and a built Tapway; makes namespaces of its own in a mount namespace of its own.
# Usage: bench/experiments/least-tcp.sh [RUNS [SECONDS]]
set -euo pipefail
cd "$(dirname "$0")"
[ -n "${TAPWAY_TEST_ISOLATED:-}" ] || exec ../../scripts/isolated.sh "./$(basename "$0")" "$@"
runs=${1:-5} seconds=${2:-3}
folder=$(mktemp -d)
pids=()
namespaces=(kernel-a kernel-b kernel-bridge wait-a wait-b ring-a ring-b)
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; for ns in "${namespaces[@]}"; do ip netns del "$ns" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
cc -O2 -Wall -o "$folder/least" least.c
for ns in "${namespaces[@]}"; do ip netns add "$ns"; done

ip -n kernel-bridge link add br0 type bridge
ip -n kernel-bridge link set br0 up
ip netns exec kernel-bridge sh -c 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done'
for end in a b; do
  ip -n kernel-$end link add eth0 type veth peer name port-$end netns kernel-bridge
  ip -n kernel-bridge link set port-$end master br0 up
done
processor=$(($(nproc) - 1))
for way in wait ring; do
  taskset -c $processor "$folder/least" $way $way-a $way-b >"$folder/$way" &
  pids+=($!)
done
cat >"$folder/network.yaml" <<END
version: 1
bridges: { br0: {} }
hosts:
  tapway-a: { interfaces: { eth0: { bridge: br0, address: 10.9.0.1/24 } } }
  tapway-b: { interfaces: { eth0: { bridge: br0, address: 10.9.0.2/24 } } }
END
node ../../bin/tapway.js up "$folder/network.yaml" >"$folder/tapway" 2>/dev/null &
pids+=($!)
for way in wait ring tapway; do
  for _ in $(seq 100); do ! grep -q ready "$folder/$way" || break; sleep 0.1; done
done
for way in kernel wait ring; do
  ip -n $way-a addr add 10.9.0.1/24 dev eth0
  ip -n $way-b addr add 10.9.0.2/24 dev eth0
  for end in a b; do
    ip -n $way-$end link set eth0 up
    [ $way = kernel ] || tc -n $way-$end qdisc replace dev eth0 root noqueue # as Tapway's TAPs and veth pairs have it
  done
done
for way in kernel wait ring tapway; do
  ip netns exec $way-b iperf3 -s >/dev/null 2>&1 &
  pids+=($!)
done
sleep 1

run() {
  ip netns exec "$1-a" iperf3 -c 10.9.0.2 -t "$seconds" -J |
    python3 -c 'import json, sys; print(round(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9, 2))'
}
run tapway >/dev/null # until it is compiled
for _ in $(seq "$runs"); do
  for way in kernel wait ring tapway; do echo "$way $(run $way)"; done
done | tee "$folder/runs"
echo 'medians, Gbit/s, and of the kernel'\''s:'
for way in kernel wait ring tapway; do
  awk -v way=$way '$1 == way { print $2 }' "$folder/runs" | sort -n | awk -v way=$way '{ v[NR] = $1 } END { print way, v[int((NR + 1) / 2)] }'
done | awk 'NR == 1 { kernel = $2 } { printf "%s %s %.2f\n", $1, $2, $2 / kernel }'
