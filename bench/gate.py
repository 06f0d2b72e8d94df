#!/usr/bin/env python3
"""Holds the instructions of a request to the committed baseline: `make bench-gate`.

    bench/gate.py GATEWARD [--save]

Fails if a count is more than 3 % above its line in bench/baseline.txt, or a route with ten references costs more than 1.01
times one with literals; --save makes the counts the baseline. What is too high is counted again, twice at most, and the
least of it counts: a busy machine wakes threads more often, which adds to a request and never takes from it. The profiles
stay in target/bench, for callgrind_annotate. It builds nothing: the profile `release` is what the baseline is of, since
the whole-program optimisation of `dist` takes minutes and saves another few per cent.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import instructions

HERE = Path(__file__).parent
BASELINE = HERE / "baseline.txt"
TOLERANCE = 0.03
TRIES = 3


def main():
    match sys.argv[1:]:
        case [binary]:
            save = False
        case [binary, "--save"]:
            save = True
        case _:
            sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        upstream = instructions.UpstreamInPython(scratch)
        try:
            judge(Counting(scratch, Path(binary), upstream.port), save)
        finally:
            upstream.stop()


def judge(counting, save):
    counts = counting.of(held())
    if save:
        gated = {name: count for name, count in counts.items() if name in instructions.GATED}
        lines = read_baseline() | gated  # what cannot be counted keeps its line
        BASELINE.write_text(HEADING + "".join(f"{name} {count}\n" for name, count in lines.items()))
        return
    baseline = read_baseline()
    worse = compare(counts, baseline)
    for _again in range(1, TRIES):
        if not worse:
            return
        print("counted again:", flush=True)
        names = {name for pair in worse.values() for name in pair}
        again = counting.of({name: what for name, what in held().items() if name in names})
        counts |= {name: min(count, counts[name]) for name, count in again.items()}
        worse = compare(counts, baseline)
    if worse:
        sys.exit(f"more instructions a request than the baseline allows: {', '.join(worse)} (bench/gate.py says more)")


class Counting:
    """Counts requests to a Gateward that is prepared once, each time to a copy of it."""

    def __init__(self, scratch, binary, upstream_port):
        self.prepared = instructions.PreparedGateward(scratch, binary, upstream_port)
        self.results = binary.parent.parent / "bench"
        self.results.mkdir(parents=True, exist_ok=True)

    def of(self, requests):
        counts = {}
        for name, (title, request) in requests.items():
            why = self.prepared.refused.get(name) or missing_tool(request)
            if why:
                print(f"!! NOT COUNTED: {title}: {why}", flush=True)
                continue
            counts[name] = instructions.count(request, self.prepared.copy, self.results, name)
            print(f"{title}: {counts[name]} user instructions", flush=True)
        return counts


def held():
    """What is counted: what has a baseline, and what is held against each other."""
    pairs = (pair for name, (other, _most) in instructions.AT_MOST.items() for pair in (other, name))
    return instructions.GATED | {name: instructions.REPORTED[name] for name in pairs}


def missing_tool(request):
    if request.protocol == "http2" and not shutil.which("h2load"):
        return "h2load is not installed (Debian's nghttp2-client)"
    return None


def read_baseline():
    lines = (line.split("#")[0].split() for line in BASELINE.read_text().splitlines())
    return {name: int(count) for name, count in filter(None, lines)}


def compare(counts, baseline):
    """What is too high, and the names of the counts that make it so; says how each compares."""
    worse = {}
    for name, count in counts.items():
        if name not in instructions.GATED:
            continue
        if name not in baseline:
            print(f"   {name}: no baseline yet; bench/gate.py --save makes one")
            continue
        change = count / baseline[name] - 1
        print(f"   {name}: {change:+.1%} against the baseline, {baseline[name]}")
        if change > TOLERANCE:
            worse[name] = (name,)
    return worse | too_dear(counts)


def too_dear(counts):
    """The counts that are more than another one allows, each with both names; says how each compares to it."""
    dear = {}
    for name, (other, most) in instructions.AT_MOST.items():
        if name in counts and other in counts:
            ratio = counts[name] / counts[other]
            print(f"   {name}: {ratio:.4f} of {other}, at most {most}")
            if ratio > most:
                dear[f"{name} against {other}"] = (other, name)
    return dear


HEADING = """\
# User instructions a request, counted by callgrind over a release build. `make bench-gate` fails when one is more than
# 3 % above; `make bench-save` makes what it counts the baseline. What each is: bench/instructions.py.
"""

if __name__ == "__main__":
    main()
