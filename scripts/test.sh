#!/usr/bin/env bash
# Sets everything up and runs all tests, with namespaces of their own (scripts/isolated.sh). Two folders side by side: in each, one file after
# the other, it mostly waits for something. What a folder's tests say is printed when they are over; why some failed, after all the folders.
# Usage: scripts/test.sh [file or pattern of ava ...]    compiled tests, as dist/test/wire/*.test.js; these one after the other
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test

isolated=(scripts/isolated.sh)
if [ "$(id -u)" != 0 ]; then
  if [ -n "${CI:-}" ]; then
    echo 'tapway: the tests need root (CAP_NET_ADMIN, CAP_SYS_ADMIN)' >&2
    exit 1
  fi
  echo 'tapway: NOT ROOT: every test with real namespaces is skipped' >&2
  isolated=()
fi

[ $# -eq 0 ] || exec "${isolated[@]}" npx ava "$@"

set -m # each job is a process group, so that it ends as a whole
out=$(mktemp -d)
trap 'for job in $(jobs -p); do kill -- -"$job" 2>/dev/null || true; done; rm -rf "$out"' EXIT
part() {
  local status=0
  echo "$1 ..."
  "${isolated[@]}" node_modules/.bin/ava "dist/test/$1/**/*.test.js" </dev/null >"$out/$1" 2>&1 || status=$?
  # The runner says why tests failed below a ruled line
  [ "$status" = 0 ] || sed -n '/^  ─$/,$p' "$out/$1" >>"$out/.failed-$1"
  (flock 9 && echo "$1:" && if [ "$status" = 0 ]; then cat "$out/$1"; else sed '/^  ─$/,$d' "$out/$1"; fi) 9>"$out/.printing"
  return "$status"
}

# Those that take longest come first, so that both end at about the same time; instances beside what computes rather than beside each other
folders=$(printf '%s\n' system kernel engine vxlan; cd dist/test && find . -name '*.test.js' -printf '%h\n' | cut -d / -f 2 | sort -u)
status=0 running=0
for folder in $(awk '!met[$0]++' <<<"$folders"); do
  [ $running -lt 2 ] || { wait -n || status=$?; running=1; }
  part "$folder" &
  running=$((running + 1))
done
while [ $running -gt 0 ]; do
  wait -n || status=$?
  running=$((running - 1))
done
for failed in "$out"/.failed-*; do
  [ ! -e "$failed" ] || { echo "failed in ${failed##*.failed-}:" && cat "$failed"; }
done
exit "$status"
