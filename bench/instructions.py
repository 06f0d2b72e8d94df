"""Counts the user instructions of a request. Instructions repeat, where times do not.

A contestant runs under callgrind twice, with different numbers of requests: the difference leaves out what is done
once. Both runs go at the same time. Gateward's configuration is put before, outside callgrind, and copied.

Of each run only the busiest thread counts, the one that serves (or, of nginx, the busiest process). The others work by
the clock and not by the request, and whether they free a last snapshot of 500 routes before the end or leave it to the
end was once worth 1 % of a request.
"""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import admin
import load
import scenarios
import traffic
from contestants import MIDDLE, Gateward
from load import Request
from processes import Program, free_port

FEW, MANY = 2_000, 8_000

PLAIN = Request("http1", MIDDLE + "items/17?page=2")
HTTP2 = Request("http2", MIDDLE + "items/17?page=2", connections=16, streams=4)
GUARDED = Request("http1", "/guarded/items/17?page=2", headers=admin.KEY_HEADER)

# The counts that CI holds: their names stand in baseline.txt.
GATED = {
    "plain": ("GET, one route of 500, 8 headers", PLAIN),
    "plugins": ("the same with key-auth and limit-count", GUARDED),
    "http2": ("the same over HTTP/2", HTTP2),
}
# And those that are reported, with what each is compared to.
POST = Request("http1", MIDDLE + "items/17", body_bytes=1024)
REPORTED = {
    "post": ("POST, body of 1 KiB", POST),
    "function": ("the same to a function, signed", Request("http1", "/function/items/17", body_bytes=1024)),
    "apikey": ("the same to a function, with an API key", Request("http1", "/apikey/items/17", body_bytes=1024)),
    "named": ("the same to a function, by name", Request("http1", "/named/items/17", body_bytes=1024)),
    "literals": ("GET, ten literals set as headers", Request("http1", "/literals/items/17")),
    "references": ("the same with ten references", Request("http1", "/references/items/17")),
}
# Of these CI holds how much more than another one of them is at most, whatever both are.
AT_MOST = {"references": ("literals", 1.01)}
CONFIGURED_BY = {"guarded": ("plugins",), "function": ("function", "apikey", "named"), "rewriting": ("literals", "references")}


class UpstreamInPython:
    """The upstream's process, under a port of its own."""

    def __init__(self, scratch):
        self.port = free_port()
        script = Path(__file__).with_name("traffic.py")
        self.program = Program([sys.executable, str(script), str(self.port)], Path(scratch, "upstream.log"))
        self.program.await_port(self.port)

    def stop(self):
        self.program.stop()


class PreparedGateward:
    """The data of a Gateward that serves all that is counted, for copies of it to start from."""

    def __init__(self, scratch, binary, upstream_port):
        self.scratch, self.binary = Path(scratch), binary
        self.refused = {}  # name of a count -> why it cannot be had
        gateward = self._gateward("prepared").start(cores=None)
        try:
            scenarios.many_routes(gateward.api, upstream_port)
            self._try("guarded", lambda: self._put_guarded(gateward.api, upstream_port))
            self._try("function", lambda: scenarios.function(gateward.api, upstream_port))
            self._try("rewriting", lambda: scenarios.references(gateward.api, upstream_port))
            gateward.api.await_ready()
        finally:
            gateward.stop()

    def copy(self, name):
        shutil.rmtree(self.scratch / name, ignore_errors=True)
        shutil.copytree(self.scratch / "prepared", self.scratch / name)
        return self._gateward(name)

    def _gateward(self, name):
        return Gateward(self.scratch / name, self.binary, settings=admin.SECRETS)

    def _try(self, part, put):
        try:
            put()
        except admin.Refused as refused:
            self.refused |= {name: str(refused) for name in CONFIGURED_BY[part]}

    @staticmethod
    def _put_guarded(api, upstream_port):
        api.put("consumers", admin.CONSUMER)
        api.put("routes/guarded", admin.route("/guarded/*", upstream_port, admin.TWO_PLUGINS))


def count(request, contestant, results, name):
    """Instructions a request of what `contestant(suffix)` makes; the profiles stay in `results`, by `name`."""

    def run(requests):
        suffix = f"{name}.{requests}"
        for stale in results.glob(f"callgrind.{suffix}.*"):
            stale.unlink()
        callgrind = ["valgrind", "--quiet", "--tool=callgrind", "--separate-threads=yes"]
        callgrind.append(f"--callgrind-out-file={results}/callgrind.{suffix}.%p")
        subject = contestant(suffix).start(cores=None, before=callgrind)
        try:
            port = subject.ports[request.protocol]
            send = load.count if request.protocol == "http2" else traffic.send
            send(request, port, requests)
        finally:
            subject.stop()
        return total(profile(results, name, requests))

    with ThreadPoolExecutor(2) as both:
        few, many = both.map(run, (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def profile(results, name, requests):
    """Of the profiles of a run, one a thread, that of the thread which served."""
    return max(results.glob(f"callgrind.{name}.{requests}.*"), key=total)


def total(profile):
    with profile.open(errors="replace") as lines:
        return next((int(line.split()[1]) for line in reversed(lines.readlines()) if line.startswith("totals:")), 0)
