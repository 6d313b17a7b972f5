#!/usr/bin/env bash
# An experiment: round trips between two namespaces through the least program that can join two TAPs (least.c), and over a veth pair, by turns.
# So much of a round trip through a switch in user space is not the switch's. Needs root; makes namespaces of its own in a mount namespace of its own.
# Usage: bench/experiments/least.sh [RUNS [COUNT]]
set -euo pipefail
cd "$(dirname "$0")"
[ -n "${TAPWAY_TEST_ISOLATED:-}" ] || exec ../../scripts/isolated.sh "./$(basename "$0")" "$@"
runs=${1:-5} count=${2:-20000}
folder=$(mktemp -d)
trap 'kill %1 2>/dev/null || true; for ns in least-a least-b least-c least-d; do ip netns del $ns 2>/dev/null || true; done; rm -rf "$folder"' EXIT
cc -O2 -Wall -o "$folder/least" least.c
cc -O2 -Wall -o "$folder/pingflood" ../native/pingflood.c
cc -O2 -Wall -o "$folder/call" ../native/call.c
for ns in least-a least-b least-c least-d; do ip netns add $ns; done
"$folder/least" poll least-a least-b >"$folder/ready" &
for _ in $(seq 50); do grep -q ready "$folder/ready" && break; sleep 0.1; done
ip -n least-c link add eth0 type veth peer name eth0 netns least-d
number=0
for ns in least-a least-b least-c least-d; do
  number=$((number + 1))
  ip -n $ns addr add 10.9.0.$number/24 dev eth0
  ip -n $ns link set eth0 up
done
echo "a system call, ns: $("$folder/call")"
for _ in $(seq "$runs"); do
  kill -CONT %1
  echo "least: $(ip netns exec least-a "$folder/pingflood" 10.9.0.2 "$count" 10)"
  kill -STOP %1 # it polls
  echo "veth: $(ip netns exec least-c "$folder/pingflood" 10.9.0.4 "$count" 10)"
done
kill -CONT %1
