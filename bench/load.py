"""The load: wrk for HTTP/1.1, h2load for HTTP/2, both as fast as they are answered; h2load at a fixed rate for times.

A client that waits for an answer before it sends more does not see the queue that it makes, so its percentiles say
little. Those are taken at a rate that all contestants carry with ease.
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

WRK_SCRIPT = Path(__file__).with_name("wrk.lua")

# What a browser's call of an API carries; Host makes eight.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://www.example.com/items",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
    "X-Trace": "4bf92f3577b34da6a3ce929d0e0e4736",
}


class Failed(Exception):
    """The load did not get the answers it should have got: there is no figure to report."""


@dataclass(frozen=True)
class Request:
    """What is sent, over which protocol (`http1`, `http2` or `tls`) and over how many connections."""

    protocol: str
    path: str
    connections: int = 64
    streams: int = 1  # under way at once on a connection, in HTTP/2
    headers: dict = field(default_factory=dict)
    body_bytes: int = 0  # a POST if there are any

    def url(self, port):
        scheme = "https" if self.protocol == "tls" else "http"
        return f"{scheme}://localhost:{port}{self.path}"

    def header_options(self):
        return [option for name, value in {**HEADERS, **self.headers}.items() for option in ("-H", f"{name}: {value}")]


@dataclass
class Answered:
    requests: int
    seconds: float


def saturate(request, port, seconds, core):
    """Sends as much as is answered, from one thread, on `core` if that is one."""
    if request.protocol == "http2":
        return _h2load(request, port, core, ["-D", str(seconds), "-m", str(request.streams)])
    command = [*pinned(core), "wrk", "--threads", "1", "--connections", str(request.connections)]
    command += ["--duration", f"{seconds}s", "--timeout", "10s", "--script", str(WRK_SCRIPT)]
    command += [*request.header_options(), request.url(port)]
    if request.body_bytes:
        command += ["--", "POST", str(request.body_bytes)]
    output = _run(command, seconds)
    requests, microseconds, failed = map(int, re.search(r"RESULT (\d+) (\d+) (\d+)", output).groups())
    if failed or not requests:
        raise Failed(f"{failed} of {requests} requests failed")
    return Answered(requests, microseconds / 1e6)


def count(request, port, requests, core=None):
    """Sends exactly so many requests by HTTP/2."""
    return _h2load(request, port, core, ["-n", str(requests), "-m", str(request.streams)], patience=600)


def times_at_rate(request, port, rate, seconds, core):
    """Sends `rate` requests a second; the time of each answer, in microseconds, in order of length."""
    each = rate / request.connections
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "times")
        options = ["-n", str(int(rate * seconds)), "-m", "1", f"--rps={each:.3f}", f"--log-file={log}"]
        # The connections are opened one after the other, at the rate of the requests: else all would send at once.
        options += [f"--rate={max(1, round(rate / 1000))}", "--rate-period=1ms"]
        if request.protocol == "http1":
            options += ["--h1"]
        _h2load(request, port, core, options, patience=seconds + 30)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    first = min(int(row[0]) for row in rows)
    warm = [int(row[2]) for row in rows if int(row[0]) - first > 500_000]
    return sorted(warm)


def _h2load(request, port, core, options, patience=60):
    command = [*pinned(core), "h2load", "-t", "1", "-c", str(request.connections), *options, *request.header_options()]
    with tempfile.NamedTemporaryFile() as body:
        if request.body_bytes:
            body.write(b"x" * request.body_bytes)
            body.flush()
            command += ["-d", body.name]
        output = _run([*command, f"--connect-to=127.0.0.1:{port}", request.url(port)], patience)
    seconds = re.search(r"finished in ([\d.]+)(us|ms|s)", output)
    counts = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", output)
    if not seconds or not counts:
        raise Failed(output[-400:])
    done, succeeded, _failed = map(int, counts.groups())
    if not done or done != succeeded:
        raise Failed(f"{done - succeeded} of {done} requests failed")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1}[seconds[2]]
    return Answered(done, float(seconds[1]) * unit)


def pinned(core):
    return ["taskset", "-c", str(core)] if core is not None else []


def _run(command, seconds):
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 60, env=os.environ
    )
    if result.returncode:
        raise Failed(f"{command[0]}: {(result.stderr or result.stdout).strip()[-400:]}")
    return result.stdout


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
