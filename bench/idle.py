#!/usr/bin/env python3
"""What is left of the memory for ten thousand idle connections, half a minute after they have gone.

Each connection sends one request and is then kept open, as browsers do. They come from a hundred addresses, since a
gateway may hold each address to a limit.

    bench/idle.py GATEWARD...     of one gateway, or of several side by side
"""

import resource
import socket
import sys
import tempfile
import time
from pathlib import Path

import load
import scenarios
from contestants import Certificate, Gateward, Upstream

CONNECTIONS = 10_000
ADDRESSES = 100
SETTLE_SECONDS = 30
BAR_SHARE, BAR_BYTES = 1.25, 8 * 1024 * 1024
SPARE = 500  # files that this process has open otherwise

REQUEST = b"GET /items/100 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def why_not():
    """Why it cannot be measured here, or None. The limit is raised as far as may be."""
    needed = CONNECTIONS + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        return f"{needed} open files are needed, and `ulimit -Hn` is {hard}"
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return None


def measure(contestants, warm_up, told):
    """Resident bytes of each contestant: before (and warm), with the connections open, and after they have gone."""
    found = {}
    for contestant in contestants:
        warm_up(contestant)
        time.sleep(1)
        before = contestant.program.resident_bytes()
        told(f"{contestant.label}: {CONNECTIONS} connections")
        connections = []
        try:
            for number in range(CONNECTIONS):
                connections.append(connect(contestant.ports["http1"], f"127.0.1.{number % ADDRESSES + 1}"))
            open_ = contestant.program.resident_bytes()
        finally:
            for connection in connections:
                connection.close()
        found[contestant.name] = {"before": before, "open": open_}
    told(f"all connections have gone; {SETTLE_SECONDS} s to settle")
    time.sleep(SETTLE_SECONDS)
    for contestant in contestants:
        found[contestant.name]["after"] = contestant.program.resident_bytes()
    return found


def connect(port, source):
    connection = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    connection.sendall(REQUEST)
    answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(f"an idle connection was answered {answer[:120]!r}")
    return connection


def is_back(figures):
    return figures["after"] <= max(figures["before"] * BAR_SHARE, BAR_BYTES)


def main():
    binaries, why = sys.argv[1:], why_not()
    if not binaries:
        sys.exit(__doc__)
    if why:
        sys.exit(why)
    started = []
    with tempfile.TemporaryDirectory(prefix="gateward-idle-") as scratch:
        try:
            upstream = Upstream(Path(scratch, "upstream"), Certificate(scratch)).start(cores=None)
            started.append(upstream)
            for number, binary in enumerate(binaries):
                gateward = Gateward(Path(scratch, str(number)), Path(binary).absolute())
                gateward.name = binary
                started.append(gateward.start(cores=None))
                scenarios.one_route(gateward.api, upstream.ports["http1"])
                gateward.api.await_ready()
            request = load.Request("http1", "/items/100")
            warm_up = lambda one: load.saturate(request, one.ports["http1"], 2, None)
            for binary, figures in measure(started[1:], warm_up, print).items():
                sizes = ", ".join(f"{when} {size / 1024 / 1024:.1f}" for when, size in figures.items())
                print(f"{binary}: MiB: {sizes}: {'back' if is_back(figures) else 'not back'}")
        finally:
            for contestant in reversed(started):
                contestant.stop()


if __name__ == "__main__":
    main()
