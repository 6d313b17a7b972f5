#!/usr/bin/env bash
# Makes two "machines" out of namespaces, with a cable between them, brings up host1.yaml on one and host2.yaml on the other, and
# sends pings, data and a bulk transfer from container to container, with a look at the packets between the machines.
# Exit status 0: all of it went as it should. Whatever it makes is gone when it ends, also when it is interrupted.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/machines.sh

up examples/overlay/host1.yaml examples/overlay/host2.yaml

show tcpdump -ni u1 udp port 4789 '    (on machine 1, its output is below)'
nsenter --net=/run/netns/$machine1 tcpdump -U -c 4 -w "$files/underlay.pcap" -ni u1 udp port 4789 2>"$files/tcpdump" &
dump=$!
children+=($dump)
await "$files/tcpdump" 'listening on' $dump

step tapway1 exec c1 -- ping -c 3 -i 0.2 10.0.10.12
step tapway2 exec c2 -- ping -c 3 -i 0.2 10.0.10.11

# The outer packets and, on every other line, what is in them
wait $dump
title 'On the cable between the machines:'
tcpdump -nr "$files/underlay.pcap" 2>/dev/null | tee "$files/outer"
[ "$(grep -c ' > 192\.168\.77\.[12]\.4789: VXLAN, .* vni 42$' "$files/outer")" = 4 ] || fail 'these are not four packets of VXLAN 42'
[ "$(grep -c '^IP 10\.0\.10\.1[12] > 10\.0\.10\.1[12]: ICMP echo' "$files/outer")" = 4 ] || fail 'there are no pings in them'

# Bytes that nobody can guess must arrive as they were sent: the receiver says their digest
title '32 MiB of random data from c1 to c2:'
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
balance
printf '\nTwo machines, one network: all as it should be.\n'
