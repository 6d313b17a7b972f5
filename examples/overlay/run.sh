#!/usr/bin/env bash
# Makes two "machines" out of namespaces, with a cable between them, brings up host1.yaml on one and host2.yaml on the other, and
# sends pings, data and a bulk transfer from container to container, with a look at the packets between the machines.
# Exit status 0: all of it went as it should. Whatever it makes is gone when it ends, also when it is interrupted.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${TAPWAY_SETUP:-}" = no ] || scripts/setup.sh    # "no": everything is installed and built, as in the test of this script
if [ "$(id -u)" != 0 ]; then
  echo 'tapway: making namespaces needs root: sudo examples/overlay/run.sh' >&2
  exit 1
fi

machine1=machine1-$$ machine2=machine2-$$
# What would be typed as "tapway" on machine 1 and on machine 2. Children are started by the words and not by the functions: a
# function in the background is a shell, and killing that would leave alone what it waits for.
on1=(nsenter --net=/run/netns/$machine1 node bin/tapway.js --name $machine1)
on2=(nsenter --net=/run/netns/$machine2 node bin/tapway.js --name $machine2)
tapway1() { "${on1[@]}" "$@"; }
tapway2() { "${on2[@]}" "$@"; }
bold= plain=
[ ! -t 1 ] || { bold=$'\033[1m' plain=$'\033[0m'; }
show() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; }
step() { show "$@"; "$@"; }
fail() { printf 'tapway: %s\n' "$*" >&2; exit 1; }

files=$(mktemp -d)
children=()
finish() {
  status=$?
  trap - EXIT
  trap '' INT TERM
  tapway1 down >/dev/null 2>&1 || true
  tapway2 down >/dev/null 2>&1 || true
  for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  ip netns del $machine1 2>/dev/null || true
  ip netns del $machine2 2>/dev/null || true
  rm -rf "$files"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until a file has a line, which a child writes. Shows the file and gives up when the child has ended
await() {
  for _ in $(seq 200); do
    ! grep -q "$2" "$1" 2>/dev/null || return 0
    kill -0 "$3" 2>/dev/null || { cat "$1" >&2; exit 1; }
    sleep 0.05
  done
  cat "$1" >&2
  fail "no line \"$2\""
}

# The underlay: on two real machines it is there
ip netns add $machine1
ip netns add $machine2
ip -n $machine1 link add u1 type veth peer name u2 netns $machine2
ip -n $machine1 addr add 192.168.77.1/24 dev u1
ip -n $machine2 addr add 192.168.77.2/24 dev u2
ip -n $machine1 link set u1 up
ip -n $machine2 link set u2 up

"${on1[@]}" up examples/overlay/host1.yaml >"$files/up1" 2>&1 &
up1=$!
"${on2[@]}" up examples/overlay/host2.yaml >"$files/up2" 2>&1 &
up2=$!
children+=($up1 $up2)
await "$files/up1" '^ready' $up1
await "$files/up2" '^ready' $up2
grep -h '^ready' "$files/up1" "$files/up2"

show tcpdump -ni u1 udp port 4789 '    (on machine 1, its output is below)'
nsenter --net=/run/netns/$machine1 tcpdump -U -c 4 -w "$files/underlay.pcap" -ni u1 udp port 4789 2>"$files/tcpdump" &
dump=$!
children+=($dump)
await "$files/tcpdump" 'listening on' $dump

step tapway1 exec c1 -- ping -c 3 -i 0.2 10.0.10.12
step tapway2 exec c2 -- ping -c 3 -i 0.2 10.0.10.11

# The outer packets and, on every other line, what is in them
wait $dump
printf '\n%sOn the cable between the machines:%s\n' "$bold" "$plain"
tcpdump -nr "$files/underlay.pcap" 2>/dev/null | tee "$files/outer"
[ "$(grep -c ' > 192\.168\.77\.[12]\.4789: VXLAN, .* vni 42$' "$files/outer")" = 4 ] || fail 'these are not four packets of VXLAN 42'
[ "$(grep -c '^IP 10\.0\.10\.1[12] > 10\.0\.10\.1[12]: ICMP echo' "$files/outer")" = 4 ] || fail 'there are no pings in them'

# Bytes that nobody can guess must arrive as they were sent: the receiver says their digest
printf '\n%s32 MiB of random data from c1 to c2:%s\n' "$bold" "$plain"
"${on2[@]}" exec c2 -- node -e '
  require("node:net").createServer((socket) => {
    const hash = require("node:crypto").createHash("sha256")
    socket.pipe(hash).on("finish", () => { console.log("received", hash.digest("hex")); process.exit(0) })
  }).listen(9000, () => console.log("listening"))' >"$files/receiver" 2>&1 &
receiver=$!
children+=($receiver)
await "$files/receiver" '^listening' $receiver
tapway1 exec c1 -- node -e '
  const data = require("node:crypto").randomBytes(32 << 20)
  console.log("sent    ", require("node:crypto").createHash("sha256").update(data).digest("hex"))
  require("node:net").connect(9000, "10.0.10.12").end(data)' | tee "$files/sender"
wait $receiver
tail -n 1 "$files/receiver"
sent=$(awk '$1 == "sent" { print $2 }' "$files/sender")
received=$(awk '$1 == "received" { print $2 }' "$files/receiver")
[ -n "$sent" ] && [ "$sent" = "$received" ] || fail 'the data is not what was sent'

"${on2[@]}" exec c2 -- iperf3 -s -1 --forceflush >"$files/iperf3" 2>&1 &
server=$!
children+=($server)
await "$files/iperf3" '^Server listening' $server
step tapway1 exec c1 -- iperf3 -c 10.0.10.12 -t 2 -f g
wait $server

step tapway1 fdb show dev vxlan1
step tapway1 neigh show dev vxlan1
for n in 1 2; do
  show tapway$n stats
  tapway$n stats
  tapway$n -j stats | node -e '
    const { balance } = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
    process.exit(balance.ok ? 0 : 1)' || fail "the packets of machine $n do not add up"
done
printf '\nTwo machines, one network: all as it should be.\n'
