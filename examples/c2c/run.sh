#!/usr/bin/env bash
# Makes two "machines" out of namespaces, with a cable between them, brings up cell1.yaml on one and cell2.yaml on the other, and lets
# their containers try to reach each other: what a policy allows, what none allows, and what happens when policies change.
# Exit status 0: all of it went as it should. Whatever it makes is gone when it ends, also when it is interrupted.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/machines.sh

# allowed NUMBER HOST COMMAND...: the container's command must end well. denied: it must get no answer
allowed() {
  local host=$2 on=tapway$1
  shift 2
  step "$on" exec "$host" -- "$@" || fail "$host was denied"
}
denied() {
  local host=$2 on=tapway$1
  shift 2
  show "$on" exec "$host" -- "$@"
  ! "$on" exec "$host" -- "$@" 2>&1 || fail "$host was let in"
}
# A datagram, and the answer to it
ask='exec 3<>/dev/udp/$0/$1; echo $2 >&3; timeout 1 head -n 1 <&3'

up examples/c2c/cell1.yaml examples/c2c/cell2.yaml

# Servers: backend has two instances, and two TCP ports, one of which no policy is about; the others are servers, too
serve() {
  local name=$1
  shift
  "$@" >"$files/$name" 2>&1 &
  children+=($!)
  await "$files/$name" '^listening' $!
}
serve b1 "${on1[@]}" exec b1 -- node examples/c2c/server.js tcp/8080 tcp/9090 udp/8125
serve b2 "${on2[@]}" exec b2 -- node examples/c2c/server.js tcp/8080 tcp/9090 udp/8125
serve a1 "${on1[@]}" exec a1 -- node examples/c2c/server.js tcp/8080
serve c1 "${on2[@]}" exec c1 -- node examples/c2c/server.js tcp/8080

title '--- Who belongs to whom, and who may reach whom'
step tapway2 app show
step tapway2 policy show

title '--- frontend may reach backend at TCP port 8080, on this cell and on the other'
allowed 1 a1 curl -sS -m 5 http://10.255.96.4:8080/
allowed 1 a1 curl -sS -m 5 http://10.255.97.3:8080/
allowed 1 a1 ping -c 1 10.255.97.3

title '--- sensor may send datagrams to backend, which may answer'
allowed 2 c1 bash -c "$ask" 10.255.97.3 8125 temperature=21
allowed 2 c1 bash -c "$ask" 10.255.96.4 8125 temperature=22

title '--- All else is denied: another port, another app, the other direction, the other instance of the same app'
nsenter --net=/run/netns/b2 tcpdump -U -w "$files/b2.pcap" -ni eth0 2>"$files/tcpdump" &
dump=$!
children+=($dump)
await "$files/tcpdump" 'listening on' $dump
denied 1 a1 curl -sS -m 1 http://10.255.97.3:9090/
denied 2 c1 curl -sS -m 1 http://10.255.97.3:8080/
denied 2 c1 curl -sS -m 1 http://10.255.96.4:8080/
denied 2 b2 curl -sS -m 1 http://10.255.96.3:8080/
denied 1 b1 curl -sS -m 1 http://10.255.97.3:8080/
denied 1 a1 bash -c "$ask" 10.255.97.3 8125 temperature=99
kill -INT $dump
wait $dump || true
title 'None of that has arrived at b2. What was seen there:'
tcpdump -nr "$files/b2.pcap" ip 2>/dev/null | tee "$files/seen"
! grep -qE 'IP 10\.255\.(96|97)\.[0-9.]+ > 10\.255\.97\.3' "$files/seen" || fail 'a denied packet has arrived'

title '--- Who was denied'
step tapway1 policy denied
step tapway2 policy denied
tapway2 policy denied | grep -q '^from frontend to backend protocol tcp port 9090 packets' || fail 'it is not in the list'

title '--- What would be, and which policy says so'
step tapway2 policy check from frontend to backend tcp 8080
show tapway2 policy check from frontend to backend tcp 9090
! tapway2 policy check from frontend to backend tcp 9090 || fail 'it is said to be allowed'

title '--- A policy more, while all of it runs'
step tapway2 policy add from sensor to backend tcp 8080
allowed 2 c1 curl -sS -m 5 http://10.255.97.3:8080/

title '--- A policy less ends what is open under it'
show tapway1 exec a1 -- curl -sS -N --speed-limit 1 --speed-time 2 http://10.255.97.3:8080/slowly
"${on1[@]}" exec a1 -- curl -sS -N --speed-limit 1 --speed-time 2 http://10.255.97.3:8080/slowly >"$files/slowly" 2>&1 &
slowly=$!
children+=($slowly)
await "$files/slowly" '^hello' $slowly
tapway2 flow show | tee "$files/flows"
grep -q '^tcp established src 10\.255\.96\.3 .* dst 10\.255\.97\.3 dport 8080 .* admitted' "$files/flows" || fail 'no such conversation'
step tapway2 policy del from frontend to backend tcp 8080
! wait $slowly || fail 'the connection has ended well'
tail -n 1 "$files/slowly"
denied 1 a1 curl -sS -m 1 http://10.255.97.3:8080/
step tapway2 policy add from frontend to backend tcp 8080
allowed 1 a1 curl -sS -m 5 http://10.255.97.3:8080/

balance
for n in 1 2; do
  tapway$n -j stats | node -e '
    const { drops } = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
    process.exit(drops.some((d) => d.reason === "policy-denied" && d.packets > 0) ? 0 : 1)' || fail "machine $n has denied nothing"
done
printf '\nTwo cells, three apps, and only what policies allow: all as it should be.\n'
