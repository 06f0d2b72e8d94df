#!/usr/bin/env python3
"""Leases: how fast they are made, what a start and an outage cost, and how late credentials are revoked.

    bench/leases.py [GATEWARD] [--quick]

In process by the example lease_speed of gateward-leases, which says what it does; and, if there is a binary, over HTTP: wrk asks
`/get-dynamic-secret-value`, and nginx is the producer. The figures go to target/bench/leases.json. A whole run then writes the
table of docs/leases.md from them; a quick one prints it. `make bench` does all this too, and holds the bars of the issue to it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from contestants import DAEMONS, nginx, nginx_head
from processes import NotStarted, Program, free_port
from tables import markdown, thousands

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "leases.md"
BEGIN, END = "<!-- bench/leases.py writes from here -->", "<!-- to here -->"
PATIENCE = 3600  # seconds; the first run compiles
HTTP_SECONDS, QUICK_HTTP_SECONDS = 20, 5
ADMIN = ("p-bench", "bench-access-key-that-is-long-enough")

# (figure, what it is, unit, bar, whether more is better); a bar of 0 is none. The first two say what machine it was: the same
# one is twice as fast at one hour as at another.
ROWS = (
    ("machine_steps", "this machine: steps of an empty loop of Python a second, one core, in thousands", "", 0, True),
    ("machine_syncs", "this machine: blocks of 4 KiB written and synced a second, one after the other", "", 0, True),
    ("creations_1024", "durable creations a second in process, 1 024 callers", "", 20_000, True),
    ("creations_256", "the same, 256 callers", "", 10_000, True),
    ("creations_16", "the same, 16 callers", "", 0, True),
    ("creations_1", "the same, one caller", "", 0, True),
    ("http_1024", "creations a second over HTTP, 1 024 connections, an HTTP producer", "", 0, True),
    ("http_256", "the same, 256 connections", "", 0, True),
    ("due_p99", "10 000 due a second: revoked after its time, p99", " ms", 1000, False),
    ("due_p50", "the same, p50", " ms", 0, False),
    ("due_max", "the same, at most", " ms", 0, False),
    ("outage_calls_1", "calls to a producer that is down, the first minute", "", 10, False),
    ("outage_calls_2", "the same, the second minute", "", 10, False),
    ("outage_others_p99", "meanwhile 200 due a second at another: p99", " ms", 1000, False),
    ("outage_over", "all revoked after it is back", " s", 0, False),
    ("many_rate", "live leases issued a second, until there are as many as below", "", 0, True),
    ("many_opened", "after kill -9 with them: the store is open", " ms", 100, False),
    ("many_ready", "the same: the first lease is issued", " ms", 0, False),
    ("many_resident", "resident memory, 5 s later", " MiB", 64, False),
    ("many_resident_peak", "the same, at most", " MiB", 0, False),
    ("many_bytes", "disk, a lease", " bytes", 1024, False),
)
NUMBERS = {False: (100_000, 1_000_000), True: (10_000, 100_000)}  # due in the outage, live at the kill


def main():
    words = sys.argv[1:]
    quick = "--quick" in words
    binaries = [word for word in words if word != "--quick"]
    if len(binaries) > 1:
        sys.exit(__doc__)
    binary = Path(binaries[0]).absolute() if binaries else None
    figures = run(binary, quick, print)
    if not figures:
        sys.exit("there is no result")
    target = ROOT / "target" / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "leases.json").write_text(json.dumps(figures, indent=1))
    if quick:
        print(section(figures))
    else:
        write(figures)
        print(f"written: {PAGE}")


def run(binary, quick, told):
    """The figures by their names; empty if there are none."""
    figures = {"quick": quick, "date": time.strftime("%Y-%m-%d"), "cores": len(os.sched_getaffinity(0))}
    command = [os.environ.get("CARGO", "cargo"), "run", "--quiet", "--locked", "--release"]
    command += ["--package", "gateward-leases", "--example", "lease_speed", "--", *(["--quick"] if quick else [])]
    # On a disk, which the system's temporary directory need not be.
    scratch = ROOT / "target" / "bench"
    scratch.mkdir(parents=True, exist_ok=True)
    told("== leases in process")
    before = machine_look()
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        figures |= yardsticks(Path(place))
        try:
            result = subprocess.run([*command, place], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as error:
            told(f"!! lease_speed: {error}")
            return {}
        if result.returncode:
            told("!! lease_speed failed")
            return {}
        for line in result.stdout.splitlines():
            name, value = line.split()
            figures[name] = float(value)
        figures["others"] = others_share(before)
        if binary:
            told("== leases over HTTP")
            seconds = QUICK_HTTP_SECONDS if quick else HTTP_SECONDS
            try:
                figures |= over_http(binary, Path(place), seconds)
            except (NotStarted, OSError, ValueError) as error:
                told(f"!! over HTTP: {error}")
    return figures


def yardsticks(place):
    """What the machine does by itself."""
    steps, syncs = 5_000_000, 2_000
    before = time.perf_counter()
    for _ in range(steps):
        pass
    loop = time.perf_counter() - before
    with open(place / "yardstick", "wb", buffering=0) as file:
        before = time.perf_counter()
        for _ in range(syncs):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
        sync = time.perf_counter() - before
    return {"machine_steps": round(steps / loop / 1000), "machine_syncs": round(syncs / sync)}


def over_http(binary, place, seconds):
    port, control = free_port(), free_port()
    configuration = place / "nginx.conf"
    configuration.write_text(f"""{nginx_head(place)}
http {{
    access_log off;
    keepalive_requests 1000000000;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /create {{ return 200 '{{"id":"$request_id","response":{{"user":"$request_id"}}}}'; }}
        location /revoke {{ return 200 '{{"revoked":[]}}'; }}
    }}
}}
""")
    producer = Program(nginx(configuration), place / "producer.log", environment={"PATH": DAEMONS})
    gateward = Program(
        [str(binary), "serve", "--data-dir", str(place / "data"), "--log", "error,audit=off",
         "--proxy-listen", f"127.0.0.1:{free_port()}", "--control-listen", f"127.0.0.1:{control}"],
        place / "gateward.log",
        environment={"GATEWARD_ADMIN_ACCESS_ID": ADMIN[0], "GATEWARD_ADMIN_ACCESS_KEY": ADMIN[1]},
    )
    try:
        producer.await_port(port)
        gateward.await_port(control)
        token = ask(control, "auth", {"access-id": ADMIN[0], "access-key": ADMIN[1]})["token"]
        here = f"http://127.0.0.1:{port}"
        ask(control, "dynamic-secret-create-custom", {
            "name": "/bench", "create-sync-url": f"{here}/create", "revoke-sync-url": f"{here}/revoke",
            "payload": "p", "skip-dry-run": True, "token": token,
        })
        body = json.dumps({"name": "/bench", "token": token})
        return {f"http_{count}": load(control, body, count, seconds) for count in (256, 1024)}
    finally:
        gateward.stop()
        producer.stop()


def load(port, body, connections, seconds):
    """Answers a second; each is a durable lease."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "30s"]
    command += ["--script", str(Path(__file__).with_name("leases.lua"))]
    command += [f"http://127.0.0.1:{port}/get-dynamic-secret-value", "--", body]
    output = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120).stdout
    requests, microseconds, failed = map(int, re.search(r"RESULT (\d+) (\d+) (\d+)", output).groups())
    if failed or not requests:
        raise ValueError(f"{failed} of {requests} requests failed")
    return round(requests / microseconds * 1e6)


def ask(port, call, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{call}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def machine_look():
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, idle, iowait, irq, softirq, stolen = map(int, fields)
    children = os.times()
    ours = (children.children_user + children.children_system) * os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + irq + softirq + stolen
    return busy + idle + iowait, busy - ours


def others_share(before):
    """The share of the machine's time that went to others."""
    total, others = (now - then for now, then in zip(machine_look(), before))
    return round(max(0.0, others / total), 2) if total > 0 else 0.0


def rows_of(figures):
    """(what, bar, measured, whether it is met, or None) for each figure that has a bar, or has none."""
    for name, what, unit, bar, more in ROWS:
        value = figures.get(name)
        sign = "≥" if more else "≤"
        shown = "–" if value is None else f"{thousands(value) if value >= 1000 else f'{value:g}'}{unit}"
        met = None if value is None or not bar else (value >= bar if more else value <= bar)
        yield what, f"{sign} {thousands(bar)}{unit}" if bar else "", shown, met


def section(figures):
    due, live = NUMBERS[figures["quick"]]
    verdicts = {True: "met", False: "**not met**", None: ""}
    rows = [[what, bar, shown, verdicts[met]] for what, bar, shown, met in rows_of(figures)]
    others = f", {figures['others']:.0%} of its time went to others" if "others" in figures else ""
    return f"""`bench/leases.py target/release/gateward` on {figures["cores"]} cores, {figures["date"]}{others}. The local store, and in process a producer
that does nothing; {thousands(due)} are due in the outage, {thousands(live)} live at the kill.

{markdown(["what", "bar", "measured", ""], rows)}"""


def write(figures):
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{section(figures)}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
