#!/usr/bin/env bash
# An experiment: what reads and writes of a TAP take by a system call each and by io_uring (ring.c). Needs root; the TAP is in a namespace of its own.
# Usage: bench/experiments/ring.sh
set -euo pipefail
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cc -O2 -Wall -Wextra -o "$folder/ring" ring.c
cc -O2 -Wall -o "$folder/call" ../native/call.c
echo "a system call, ns: $("$folder/call")"
"$folder/ring"
