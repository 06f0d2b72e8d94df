#!/usr/bin/env python3
"""The whole of `make bench`: Gateward beside nginx and HAProxy, in one run, on loopback.

    bench/run.py GATEWARD [--quick]

The figures go to target/bench/results.json. A whole run then writes docs/performance.md and docs/performance.svg from
them; a quick one (a part of the scenarios, few sets) writes the page beside the figures, and leaves the documents alone.
Contestants run on the first core, the load and the upstream on the second.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import admin
import examples
import function
import hotspots
import idle
import instructions
import leases
import load
import machine
import measure
import report
import scale
import scenarios
import syscalls
from contestants import Certificate, Gateward, Haproxy, Nginx, Upstream
from processes import NotStarted

ROUNDS, QUICK_ROUNDS = 7, 3
RATE, RATE_SECONDS = 10_000, 3  # of requests, where the times of answers are taken
RATE_ROUNDS = 3


def main():
    match sys.argv[1:]:
        case [binary]:
            quick = False
        case [binary, "--quick"]:
            quick = True
        case _:
            sys.exit(__doc__)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed: one for the proxy, one for the load and the upstream")
    with tempfile.TemporaryDirectory(prefix="gateward-bench-") as scratch:
        try:
            Bench(Path(binary).absolute(), Path(scratch), cores[:2], quick).run()
        except (NotStarted, load.Failed) as error:
            sys.exit(f"there is no result: {error}")


class Bench:
    def __init__(self, binary, scratch, cores, quick):
        self.binary, self.scratch, self.quick = binary, scratch, quick
        self.proxy_core, self.load_core = cores
        self.rounds = QUICK_ROUNDS if quick else ROUNDS
        self.target = binary.parent.parent / "bench"
        self.target.mkdir(parents=True, exist_ok=True)
        self.certificate = Certificate(scratch)
        self.started = time.monotonic()
        self.skipped = []  # sentences
        self.results = {"quick": quick, "machine": machine.describe(binary), "skipped": self.skipped}

    def run(self):
        self.told(f"about {self.estimate() / 60:.0f} minutes on a quiet machine")
        self.results["scenarios"] = {}
        for world in scenarios.WORLDS:
            self.in_world(world)
        if not self.results["scenarios"]:
            sys.exit("there is no result: Gateward could not be measured in any world")
        self.results["instructions"] = self.count_instructions()
        self.results["scale"] = self.scale()
        self.results["function"] = self.function()
        # They are compiled first, which takes longer than all that a quick run does.
        self.results["examples"] = {} if self.quick else examples.run(self.told)
        self.results["leases"] = leases.run(self.binary, self.quick, self.told)
        if self.results["leases"] and not self.quick:
            leases.write(self.results["leases"])
        self.results["minutes"] = round((time.monotonic() - self.started) / 60)
        file = self.target / "results.json"
        file.write_text(json.dumps(self.results, indent=1))
        self.told(f"figures: {file}")
        for page in report.write(self.results, self.target):
            self.told(f"written: {page}")

    def told(self, what):
        elapsed = int(time.monotonic() - self.started)
        print(f"[{elapsed // 60:2}:{elapsed % 60:02}] {what}", flush=True)

    def estimate(self):
        """Seconds: the sets, and what was seen for the rest."""
        chosen = [scenario for world in scenarios.WORLDS for scenario in self.chosen(world)]
        sets = sum((scenario.seconds + 0.2) * len(scenario.lanes) for scenario in chosen) * self.rounds
        return sets + (240 if self.quick else 1500)

    def chosen(self, world):
        return [scenario for scenario in world.scenarios if scenario.quick or not self.quick]

    def in_world(self, world):
        """Starts everybody, configured for this world, and measures its scenarios."""
        self.told(f"== {world.title}")
        who = {}
        try:
            self.start_all(world, who)
            for scenario in self.chosen(world):
                able = {name: one for name, one in who.items() if self.can(one, scenario)}
                if "gateward" not in able:
                    continue
                self.told(f"{scenario.title}: {self.rounds} sets")
                measured = measure.measure(scenario, able, self.rounds, self.load_core, self.told)
                self.results["scenarios"][scenario.name] = measured
                self.tell(scenario, measured)
            if world is scenarios.WORLDS[0]:
                self.in_first_world(who)
        finally:
            for contestant in reversed(who.values()):
                contestant.stop()

    def start_all(self, world, who):
        place = Path(tempfile.mkdtemp(dir=self.scratch))
        who["upstream"] = Upstream(place / "upstream", self.certificate).start([self.load_core])
        upstream_port = who["upstream"].ports["http1"]
        for kind in (Nginx, Haproxy):
            if world.needs(kind.name):
                contestant = kind(place / kind.name, upstream_port, self.certificate, world.routes)
                who[kind.name] = contestant.start([self.proxy_core])
        for name, threads in (("gateward", 1), ("gateward2", 2)):
            if not world.needs(name):
                continue
            # Two data threads have both cores, and share one with the load: that is for the record.
            cores = [self.proxy_core] if threads == 1 else [self.proxy_core, self.load_core]
            gateward = Gateward(place / name, self.binary, threads, world.settings)
            try:
                who[name] = gateward.start(cores)
                world.configure(gateward.api, upstream_port)
                gateward.serve_tls(self.certificate)
                gateward.api.await_ready()
            except (admin.Refused, NotStarted) as refused:
                gateward.stop()
                who.pop(name, None)
                self.skip(f"{world.title} ({name}): {refused}")

    def can(self, contestant, scenario):
        """Whether it has what the scenario needs; says so once if not."""
        why = getattr(contestant, "no_tls", None)
        if why and any(lane.request.protocol == "tls" for lane in scenario.lanes):
            self.skip(f"TLS ({contestant.name}): {why}")
            return False
        return True

    def skip(self, sentence):
        if sentence not in self.skipped:
            self.skipped.append(sentence)
            self.told(f"!! {sentence}")

    def tell(self, scenario, measured):
        lanes = [lane.name for lane in scenario.lanes if measure.typical(measured, lane.name, "cpu_us")]
        costs = [f"{lane} {measure.typical(measured, lane, 'cpu_us'):.1f}" for lane in lanes]
        ratios = [
            f"{lane} {measure.ratio(measured, lane):.2f}"
            for lane in lanes
            if lane not in ("control", measured["base"]) and measure.ratio(measured, lane)
        ]
        self.told(f"   CPU µs a request: {', '.join(costs)}; against {measured['base']}: {', '.join(ratios)}")

    def in_first_world(self, who):
        """What is measured once, with one route and no plugins: system calls, times at a rate, memory."""
        self.results["syscalls"] = self.count_syscalls(who)
        self.results["times"] = self.times(who)
        why_not = "a quick run leaves it out" if self.quick else idle.why_not()
        if why_not:
            self.skip(f"memory after {idle.CONNECTIONS} idle connections: {why_not}")
            return
        contestants = [who[name] for name in ("nginx", "haproxy", "gateward") if name in who]
        request = load.Request("http1", "/items/100")
        warm_up = lambda one: load.saturate(request, one.ports["http1"], 2, self.load_core)
        self.results["idle"] = idle.measure(contestants, warm_up, self.told)

    def scale(self):
        routes = scale.ROUTES // 10 if self.quick else scale.ROUTES
        self.told(f"== {routes} routes")
        upstream = Upstream(self.scratch / "upstream-of-many", self.certificate).start(cores=None)
        try:
            return scale.measure(self.binary, self.scratch, upstream.ports["http1"], self.told, routes)
        except (admin.Refused, NotStarted) as refused:
            self.skip(f"{routes} routes: {refused}")
            return None
        finally:
            upstream.stop()

    def function(self):
        """Of the package, where `make lambda` has made one; else of this binary."""
        self.told("== a Lambda function")
        package = self.binary.parent.parent / "lambda" / "gateward-x86_64.zip"
        found, skipped = function.measure(package if package.exists() else self.binary, self.quick, self.told)
        for why in skipped:
            self.skip(f"a Lambda function: {why}")
        return found

    def count_syscalls(self, who):
        tool = syscalls.counter()
        if not tool:
            self.skip("system calls: neither perf nor strace may count them here")
            return {}
        self.told(f"== system calls, by {tool}")
        counts = {"tool": tool}
        for protocol in ("http1", "http2"):
            request = load.Request(protocol, "/items/1k", **scenarios.connections(protocol, "1 KiB"))
            for name in ("nginx", "haproxy", "gateward"):
                if name not in who:
                    continue
                answered = []
                port = who[name].ports[protocol]
                send = lambda: answered.append(load.saturate(request, port, 2, self.load_core))
                calls = syscalls.count(tool, who[name].program.family(), send)
                counts[f"{protocol}-{name}"] = calls / answered[0].requests
        return counts

    def times(self, who):
        """Percentiles at a fixed rate, and the CPU time a request meanwhile; the median of rounds in turn."""
        self.told(f"== times of answers, at {RATE} requests a second")
        found = {"rate": RATE}
        lanes = {"control": "upstream", "nginx": "nginx", "haproxy": "haproxy", "gateward": "gateward"}
        for protocol in ("http1", "http2"):
            request = load.Request(protocol, "/items/1k")
            for _ in range(1 if self.quick else RATE_ROUNDS):
                for lane, name in lanes.items():
                    if name in who:
                        port, program = who[name].ports[protocol], who[name].program
                        before = program.cpu_seconds()
                        times = load.times_at_rate(request, port, RATE, RATE_SECONDS, self.load_core)
                        cpu = (program.cpu_seconds() - before) / (RATE * RATE_SECONDS) * 1e6
                        percentiles = [load.percentile(times, share) for share in (0.5, 0.99, 0.999)]
                        found.setdefault(f"{protocol}-{lane}", []).append([*percentiles, cpu])
        return found

    def count_instructions(self):
        self.told("== instructions a request, by callgrind")
        if not shutil.which("valgrind"):
            self.skip("instructions: valgrind is not installed")
            return {}
        counts = {}
        upstream = instructions.UpstreamInPython(self.scratch)
        try:
            prepared = instructions.PreparedGateward(self.scratch, self.binary, upstream.port)
            for name, (title, request) in {**instructions.GATED, **instructions.REPORTED}.items():
                if name in prepared.refused:
                    self.skip(f"instructions of `{name}`: {prepared.refused[name]}")
                    continue
                counts[name] = instructions.count(request, prepared.copy, self.target, name)
                self.told(f"   {title}: {counts[name]}")
            for kind in (Nginx, Haproxy):
                for name in ("plain", "http2"):
                    make = lambda suffix: kind(self.scratch / suffix, upstream.port, self.certificate, routes=500)
                    label = f"{kind.name}-{name}"
                    counts[label] = instructions.count(instructions.GATED[name][1], make, self.target, label)
                    self.told(f"   {label}: {counts[label]}")
        finally:
            upstream.stop()
        self.results["profiles"] = {name: self.profile(name) for name in instructions.GATED if name in counts}
        return counts

    def profile(self, name):
        few, many = (instructions.profile(self.target, name, count) for count in (instructions.FEW, instructions.MANY))
        libraries, functions = hotspots.per_request(few, many, instructions.MANY - instructions.FEW)
        return {"libraries": libraries, "functions": functions}


if __name__ == "__main__":
    main()
