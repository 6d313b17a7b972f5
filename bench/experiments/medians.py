"""Passes on the lines of JSON that runs of an experiment print, then says the medians of each mode: frames a second, and processor time a frame."""
import json, statistics, sys
seen = {}
for line in sys.stdin:
    print(line, end="")
    r = json.loads(line)
    seen.setdefault(r["mode"], []).append(r)
for mode, runs in seen.items():
    kpps, each = (statistics.median(run[key] for run in runs) for key in ("kpps", "nsEach"))
    print(f"{mode}: median {kpps:.0f} kpps, {each:.0f} ns of its processor a frame")
