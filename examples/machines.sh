# To be sourced by a script that stands in the root of the repository: makes two "machines" out of namespaces, with a cable between
# them, and has what such a script says and waits with. Whatever is made is gone when the script ends, also when it is interrupted.
# shellcheck shell=bash
[ "${TAPWAY_SETUP:-}" = no ] || scripts/setup.sh    # "no": everything is installed and built, as in the test of this script
if [ "$(id -u)" != 0 ]; then
  echo "tapway: making namespaces needs root: sudo $0" >&2
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
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
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

# up FILE1 FILE2: brings a network file up on each machine, and waits until both are ready
up() {
  local up1 up2
  "${on1[@]}" up "$1" >"$files/up1" 2>&1 &
  up1=$!
  "${on2[@]}" up "$2" >"$files/up2" 2>&1 &
  up2=$!
  children+=($up1 $up2)
  await "$files/up1" '^ready' $up1
  await "$files/up2" '^ready' $up2
  grep -h '^ready' "$files/up1" "$files/up2"
}

# Shows the counters of both machines, which must add up: every packet that came is sent, delivered or dropped for a reason
balance() {
  local n
  for n in 1 2; do
    step tapway$n stats
    tapway$n -j stats | node -e '
      const { balance } = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
      process.exit(balance.ok ? 0 : 1)' || fail "the packets of machine $n do not add up"
  done
}
