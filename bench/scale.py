#!/usr/bin/env python3
"""What a hundred thousand routes cost a whole process: to store, to change one of, to start with, and as a file.

    bench/scale.py GATEWARD [ROUTES]

The change is the whole way: an HTTP client's PUT, the store, the compilation, the swap, until a request is answered by
the new route. The match itself is measured in process: the example scale of gateward-router.
"""

import asyncio
import http.client
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import admin
from contestants import Certificate, Gateward, Upstream

ROUTES = 100_000
WRITERS = 256  # at once: writes that come together are stored and compiled together
CHANGES = 21
READY_SECONDS = 300


def measure(binary, scratch, upstream_port, told, routes=ROUTES):
    """Seconds, by what took them."""
    found = {"routes": routes}
    gateward = Gateward(Path(scratch, "scale"), binary).start(cores=None)
    try:
        began = time.monotonic()
        asyncio.run(put_all(gateward, routes, upstream_port))
        found["stored"] = time.monotonic() - began
        told(f"   {routes} routes put one by one, {WRITERS} at a time: {found['stored']:.1f} s")
        found["change"] = changes_by_api(gateward, upstream_port)
        told(f"   one change, until it is served: {found['change'] * 1000:.0f} ms")
        found["resident"] = gateward.program.resident_bytes()
        gateward.stop()
        found["start"] = start(gateward, wanted_id(routes - 1))
        told(f"   a start with them in the store: {found['start']:.1f} s")
    finally:
        gateward.stop()
    return found | from_a_file(binary, scratch, upstream_port, told, routes)


def from_a_file(binary, scratch, upstream_port, told, routes):
    file = Path(scratch, "resources.yaml")
    write_file(file, routes, upstream_port)
    found = {}
    began = time.monotonic()
    subprocess.run([str(binary), "check", str(file)], check=True, capture_output=True)
    found["check"] = time.monotonic() - began
    told(f"   `gateward check` of a file with them: {found['check']:.1f} s")
    gateward = Gateward(Path(scratch, "scale-file"), binary, settings={"GATEWARD_RESOURCES": str(file)})
    try:
        found["file"] = start(gateward, wanted_id(routes - 1))
        told(f"   a start with the file: {found['file']:.1f} s")
        write_file(file, routes, upstream_port, changed="/changed-in-the-file")
        began = time.monotonic()
        await_served(gateward, "/changed-in-the-file")
        found["file_change"] = time.monotonic() - began
        told(f"   one change in the file, until it is served: {found['file_change']:.1f} s")
    finally:
        gateward.stop()
    return found


def wanted_id(number):
    return f"/api/{number % 100}/items/{number}/100"


def route(number, upstream_port):
    return admin.route(f"/api/{number % 100}/items/{number}/*", upstream_port)


async def put_all(gateward, routes, upstream_port):
    numbers = iter(range(routes))

    async def writer():
        reader, writer = await asyncio.open_connection("127.0.0.1", gateward.ports["control"])
        for number in numbers:
            body = json.dumps(route(number, upstream_port)).encode()
            head = f"PUT /apisix/admin/routes/r{number} HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {gateward.key}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            lines = answer.decode().lower().split("\r\n")
            length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
            text = await reader.readexactly(length)
            if not lines[0].split()[1].startswith("20"):
                raise admin.Refused(f"a route: {lines[0]}: {text[:400]!r}")
        writer.close()

    await asyncio.gather(*(writer() for _ in range(WRITERS)))


def changes_by_api(gateward, upstream_port):
    """The median time of a change; each is seen to be served at once."""
    spans = []
    for number in range(CHANGES):
        path = f"/changed/{number}/100"
        began = time.monotonic()
        gateward.api.put("routes/r17", admin.route(path, upstream_port))
        served = status(gateward, path)
        spans.append(time.monotonic() - began)
        if served != 200:
            raise admin.Refused(f"a route that was put is not served: {served}")
    return median(spans)


def start(gateward, path):
    """Seconds from the start of the process until it serves `path`."""
    began = time.monotonic()
    gateward.start(cores=None)
    await_served(gateward, path)
    return time.monotonic() - began


def await_served(gateward, path):
    deadline = time.monotonic() + READY_SECONDS
    while (served := status(gateward, path)) != 200:
        if time.monotonic() > deadline:
            raise admin.Refused(f"{path} is not served: {served}")
        time.sleep(0.01)


def status(gateward, path):
    connection = http.client.HTTPConnection("127.0.0.1", gateward.ports["http1"], timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def write_file(file, routes, upstream_port, changed=None):
    """The declarative form, put in place as a whole."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as new:
        new.write("routes:\n")
        for number in range(routes):
            one = {"id": f"r{number}", **route(number, upstream_port)}
            if changed and number == 17:
                one["uri"] = changed
            new.write(f"  - {json.dumps(one)}\n")
        new.write("#END\n")
    Path(new.name).rename(file)


def main():
    match sys.argv[1:]:
        case [binary]:
            routes = ROUTES
        case [binary, number]:
            routes = int(number)
        case _:
            sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="gateward-scale-") as scratch:
        upstream = Upstream(Path(scratch, "upstream"), Certificate(scratch)).start(cores=None)
        try:
            measure(Path(binary).absolute(), scratch, upstream.ports["http1"], print, routes)
        finally:
            upstream.stop()


if __name__ == "__main__":
    main()
