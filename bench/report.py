#!/usr/bin/env python3
"""Writes the figures of a run as a page with tables of ratios, and the plot.

    bench/report.py target/bench/results.json     writes the page of a run that was measured before
"""

import json
import sys
from pathlib import Path

import bars
import idle
import instructions
import leases
import plot
import scenarios
from measure import CONTROL_OFF, DISTURBED, ratio, typical
from tables import markdown, mib, times, thousands

ROOT = Path(__file__).resolve().parent.parent
WHO = {"nginx": "nginx", "haproxy": "HAProxy", "gateward": "Gateward"}
LANES = WHO | {"gateward2": "Gateward, two threads"}


def write(results, target):
    """The pages that were written: the documents after a whole run, something to look at after a quick one."""
    folder = target if results["quick"] else ROOT / "docs"
    picture, text = folder / "performance.svg", folder / "performance.md"
    picture.write_text(plot.draw(results))
    text.write_text("\n\n".join(part.strip() for part in page(results) if part) + "\n")
    return [text, picture]


def page(results):
    yield introduction(results)
    yield "## The bars\n\n" + bars.table(results)
    yield cpu_section(results)
    yield instructions_section(results)
    yield syscalls_section(results)
    yield times_section(results)
    yield memory_section(results)
    yield scale_section(results)
    yield leases_section(results)
    yield profile_section(results)
    yield examples_section(results)
    yield method_section(results)


def introduction(results):
    machine = results["machine"]
    versions = machine["versions"]
    command = "make bench QUICK=1" if results["quick"] else "make bench"
    return f"""
# Performance

What a proxied request costs in Gateward, beside nginx and HAProxy, measured in one run on one machine. `{command}` writes
this page and its plot; nothing in it is written by hand. A ratio of 0.90 is a tenth less than nginx, or than what the table names.

![CPU time a request against nginx, for each scenario](performance.svg)

{machine["date"]}, commit `{machine["gateward"]}`, {results["minutes"]} minutes; {machine["cores"]} cores ({machine["processor"]}),
{machine["memory_gib"]} GiB, {machine["system"]}; nginx {versions["nginx"]}, HAProxy {versions["haproxy"]}.
"""


def cpu_section(results):
    """One table for what is compared with nginx; what Gateward does against itself is among the bars."""
    measured = {name: of for name, of in results["scenarios"].items() if of["base"] == "nginx"}
    costs = []
    for name, of in measured.items():
        absolute = [microseconds(of, lane) for lane in ("nginx", "gateward")]
        relative = [times(ratio(of, lane)) for lane in ("haproxy", "gateward", "gateward2")]
        costs.append([scenarios.TITLES[name], *absolute, *relative])
    rates = []
    for name, of in measured.items():
        rates.append([scenarios.TITLES[name], *(rate(typical(of, lane, "rate")) for lane in ("control", *LANES))])
    head = ["scenario", "nginx, µs", "Gateward, µs", *(f"{LANES[lane]} ÷ nginx" for lane in LANES if lane != "nginx")]
    return f"""
## CPU time a request

All threads of the process, so two threads may each use a core and still cost 1.00. In brackets the user time, which is what a
program can do something about; the rest is the kernel's, for its system calls.

{markdown(head, costs)}

And the requests a second that this was measured at: the proxy saturates its core (or, being faster, the core of the load and
the upstream is saturated). They swing with the machine, and say more about it than about the programs.

{markdown(["requests a second", "no proxy", *LANES.values()], rates)}
"""


def instructions_section(results):
    counts = results["instructions"]
    if not counts:
        return ""
    rows = []
    titles = {**instructions.GATED, **instructions.REPORTED}
    for name, (title, _request) in titles.items():
        if name not in counts:
            continue
        row = [title, thousands(counts[name])]
        for other in ("nginx", "haproxy"):
            theirs = counts.get(f"{other}-{name}")
            row += [thousands(theirs), times(counts[name] / theirs if theirs else None)]
        rows.append(row)
    head = ["user instructions a request", "Gateward", "nginx", "÷ nginx", "HAProxy", "÷ HAProxy"]
    return f"""
## Instructions a request

Counted by callgrind, in user space, with 500 routes: they repeat to about one per cent, so CI holds the first three to
`bench/baseline.txt` (`make bench-gate`). nginx and HAProxy do less for them: no request id, no `X-Forwarded-…` headers. A signature
looks dearer here than it is: the processor that callgrind plays has no instructions for SHA-256.

{markdown(head, rows)}
"""


def syscalls_section(results):
    calls = results["syscalls"]
    if not calls:
        return ""
    rows = []
    for protocol in ("http1", "http2"):
        counts = [calls.get(f"{protocol}-{name}") for name in WHO]
        rows.append([scenarios.PROTOCOLS[protocol], *beside_first(counts, times)])
    return f"""
## System calls a request

Counted by {calls["tool"]} under full load, 1 KiB. In brackets, here and below: against nginx.

{markdown(["", *WHO.values()], rows)}
"""


def times_section(results):
    found = results["times"]
    rows = []
    for protocol in ("http1", "http2"):
        for lane, label in {"control": "no proxy", **WHO}.items():
            rounds = found.get(f"{protocol}-{lane}")
            if rounds:
                middle = [sorted(values)[len(values) // 2] for values in zip(*rounds)]
                *percentiles, cpu = middle
                in_ms = (f"{value / 1000:.2f}" for value in percentiles)
                rows.append([scenarios.PROTOCOLS[protocol], label, *in_ms, times(cpu, 1)])
    return f"""
## Times of answers

{thousands(found["rate"])} requests a second, whatever the contestant answers, so that a queue is seen by those that wait in it;
64 connections, 1 KiB. The line without a proxy is what the load and the upstream, which share a core, bring along. The CPU time is
that of the proxy at this rate, at which all wake others, and are woken, equally often; at full load the one that is faster does less of that.

{markdown(["", "", "p50, ms", "p99, ms", "p99.9, ms", "CPU, µs a request"], rows)}
"""


def memory_section(results):
    first = next(iter(results["scenarios"].values()))
    sizes = beside_first([typical(first, lane, "resident") for lane in WHO], mib)
    after_load = ", ".join(f"{label} {size}" for label, size in zip(WHO.values(), sizes))
    text = f"## Resident memory\n\nAfter load over 64 connections, in MiB: {after_load}."
    found = results.get("idle")
    if not found:
        return text
    rows = [
        [WHO[name], *(mib(figures[when]) for when in ("before", "open", "after"))] for name, figures in found.items()
    ]
    head = ["MiB", "before", f"{thousands(idle.CONNECTIONS)} idle connections", f"{idle.SETTLE_SECONDS} s after they have gone"]
    return f"{text}\n\nAnd with idle connections, each of which has been answered once:\n\n{markdown(head, rows)}"


def scale_section(results):
    found = results.get("scale")
    if not found:
        return ""
    rows = [
        ["all put by the Admin API, one by one, 256 at a time", f"{found['stored']:.1f} s"],
        ["one of them changed by the Admin API, until a request is answered by the new one (median)", f"{found['change'] * 1000:.0f} ms"],
        ["a start with all in the store, until the last is served", f"{found['start']:.1f} s"],
        ["`gateward check` of a file with all", f"{found['check']:.1f} s"],
        ["a start with that file, until the last is served", f"{found['file']:.1f} s"],
        ["one changed in the file, until it is served", f"{found['file_change']:.1f} s"],
        ["resident memory with all, MiB", mib(found["resident"])],
    ]
    return f"## {thousands(found['routes'])} routes\n\nOf a whole process (`bench/scale.py`); what a match costs stands below.\n\n" + markdown(["", ""], rows)


def leases_section(results):
    figures = results.get("leases")
    return f"## Leases\n\n{leases.section(figures)}" if figures else ""


def profile_section(results):
    profiles = results.get("profiles")
    if not profiles:
        return ""
    totals = {name: sum(cost for _library, cost in of["libraries"]) for name, of in profiles.items()}
    costs = {name: dict(of["libraries"]) for name, of in profiles.items()}
    first = next(iter(profiles))
    libraries = [library for library, cost in profiles[first]["libraries"] if cost > totals[first] / 200]
    libraries += [library for of in costs.values() for library, cost in of.items() if cost > 500]
    rows = [[library, *(thousands(of.get(library)) for of in costs.values())] for library in dict.fromkeys(libraries)]
    rows.append(["all", *(thousands(total) for total in totals.values())])
    parts = [
        f"""
## Where the instructions go

The requests of above, by the library in whose source the instructions were written; what was inlined counts where it was written.

{markdown(["library", *(instructions.GATED[name][0] for name in profiles)], rows)}
"""
    ]
    for name, of in profiles.items():
        if name == "plugins":
            continue
        functions = [[f"`{function}`", thousands(cost)] for function, cost in of["functions"]]
        parts.append(f"The functions that take most by themselves, {instructions.GATED[name][0]}:")
        parts.append(markdown(["function", "instructions"], functions))
    return "\n\n".join(part.strip() for part in parts)


def examples_section(results):
    if not results["examples"]:
        return ""
    blocks = []
    for name, printed in results["examples"].items():
        crate, example = name.split("/")
        blocks.append(f"`cargo run --release -p gateward-{crate} --example {example}`:\n\n```text\n{printed}\n```")
    return "## In process\n\n" + "\n\n".join(blocks)


def method_section(results):
    sets = [of for of in results["scenarios"].values()]
    dropped, loud = sum(of["dropped"] for of in sets), sum(of["loud"] for of in sets)
    rounds = len(sets[0]["sets"])
    machine = results["machine"]
    lines = f"""
## How it is measured

- One core has the proxy, the other the load and the upstream (nginx that answers by itself). Everything is on loopback.
- nginx: one worker, kept connections to the upstream, buffers for a whole body, no access log. HAProxy: one thread,
  `http-reuse always`, buffers for a whole body. Gateward: one data thread; its other threads count too. It is built as `release`,
  without whole-program optimisation.
- Contestants take turns of a second or two; {rounds} sets; a ratio is the median of the ratios within the sets. With two plugins,
  it is Gateward with them against nginx and HAProxy without.
- A set is dropped and repeated if others took more than {DISTURBED:.0%} of the machine, or if the CPU time of the lane without a
  proxy was {CONTROL_OFF:.0%} away from its median: {dropped} were; {loud} were kept though they were not quiet, as too many had been dropped.
- wrk for HTTP/1.1 (64 connections; 32 for 64 KiB), h2load {machine["versions"]["h2load"]} for HTTP/2 (16 connections of 8 streams; 2 for 64 KiB).
  HTTP/2 comes with prior knowledge, and goes to the upstream as HTTP/1.1.
- What the machine's other tenants do moves a ratio by some hundredths. Compare within a run, never between runs.
"""
    if results["skipped"]:
        lines += "\nNot measured in this run:\n\n" + "\n".join(f"- {sentence}" for sentence in results["skipped"])
    return lines


def microseconds(measured, lane):
    used, user = typical(measured, lane, "cpu_us"), typical(measured, lane, "user_us")
    return "–" if used is None else f"{used:.1f} ({user:.1f})"


def beside_first(values, written):
    """The first value, and each other with its ratio to the first."""
    first, *others = values
    ratios = [f" ({other / first:.2f})" if first and other else "" for other in others]
    return [written(first), *(written(other) + ratio_of for other, ratio_of in zip(others, ratios))]


def rate(value):
    return "–" if value is None else thousands(round(value, -2))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    file = Path(sys.argv[1])
    for written in write(json.loads(file.read_text()), file.parent):
        print(written)
