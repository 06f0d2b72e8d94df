"""What is measured: worlds, each a configuration of all contestants, and in each the requests that are sent.

A scenario has lanes that are measured in turn. The lane `control` goes straight to the upstream: it costs the proxies
nothing, so if it is off, the machine was.
"""

from dataclasses import dataclass, field, replace

import admin
from contestants import BODIES, MIDDLE
from load import Request


@dataclass(frozen=True)
class Lane:
    name: str
    contestant: str
    request: Request


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    lanes: tuple
    base: str = "nginx"  # the lane that the others are compared with
    quick: bool = True  # a part of QUICK=1
    seconds: int = 1


@dataclass(frozen=True)
class World:
    """`configure` puts what Gateward serves; nginx and HAProxy get so many routes, and are left out where none."""

    title: str
    configure: object
    scenarios: tuple
    routes: int = 1
    settings: dict = field(default_factory=dict)

    def needs(self, contestant):
        return any(lane.contestant == contestant for scenario in self.scenarios for lane in scenario.lanes)


PROTOCOLS = {"http1": "HTTP/1.1", "http2": "HTTP/2", "tls": "HTTP/1.1 over TLS"}


def compared(protocol, body, world="", path="/items/", headers=None, two_threads=False, quick=True):
    """A scenario that all contestants have: the same request, and only Gateward is sent its own `headers`."""
    request = Request(protocol, path + BODIES[body], **connections(protocol, body))
    to_gateward = replace(request, headers=headers or {})
    lanes = [Lane("control", "upstream", request), Lane("nginx", "nginx", request), Lane("haproxy", "haproxy", request)]
    lanes.append(Lane("gateward", "gateward", to_gateward))
    if two_threads:
        lanes.append(Lane("gateward2", "gateward2", to_gateward))
    name = "-".join(part for part in (protocol, BODIES[body], world.replace(" ", "-")) if part)
    title = ", ".join(part for part in (PROTOCOLS[protocol], body, world) if part)
    # The handshakes of 64 connections should not weigh in what is to be the cost of a request.
    return Scenario(name, title, tuple(lanes), quick=quick, seconds=2 if protocol == "tls" else 1)


def connections(protocol, body):
    if protocol == "http2":
        return {"connections": 16, "streams": 2 if body == "64 KiB" else 8}
    return {"connections": 32 if body == "64 KiB" else 64}


def against(name, title, request, paths):
    """A scenario in which Gateward is compared with itself: `paths` are where its lanes go, the base first."""
    lanes = tuple(Lane(lane, "gateward", replace(request, path=path)) for lane, path in paths.items())
    return Scenario(name, title, lanes, base=lanes[0].name)


def one_route(api, upstream_port):
    api.put("routes/all", admin.route("/*", upstream_port))


def two_plugins(api, upstream_port):
    api.put("consumers", admin.CONSUMER)
    api.put("routes/all", admin.route("/*", upstream_port, admin.TWO_PLUGINS))


def many_routes(api, upstream_port):
    for number in range(500):
        api.put(f"routes/r{number}", admin.route(f"/api/v1/service{number}/*", upstream_port))


def function(api, upstream_port):
    api.put("routes/plain", admin.route("/plain/*", upstream_port))
    for way, plugins in admin.functions(upstream_port).items():
        api.put(f"routes/{way}", admin.route(f"/{way}/*", upstream_port, plugins))


def references(api, upstream_port):
    api.put("routes/literals", admin.route("/literals/*", upstream_port, admin.LITERALS))
    api.put("routes/references", admin.route("/references/*", upstream_port, admin.TEN_REFERENCES))


POST = Request("http1", "", body_bytes=1024)
GET = Request("http1", "")
FUNCTION = against(
    "function",
    "a function called with an API key, signed, and by name, body of 1 KiB, against a plain proxied call",
    POST,
    {way: f"/{way}/items/100" for way in ("plain", "apikey", "function", "named")},
)
FUNCTION_64K = against(
    "function-64k",
    "the same with an answer of 64 KiB",
    POST,
    {way: f"/{way}/items/64k" for way in ("plain", "apikey", "function")},
)
REFERENCES = against(
    "references",
    "ten references in a route, against ten literals",
    GET,
    {lane: f"/{lane}/items/100" for lane in ("literals", "references")},
)

WORLDS = (
    World(
        "one route, no plugins",
        one_route,
        (
            compared("http1", "100 B"),
            compared("http1", "1 KiB", two_threads=True),
            compared("http1", "64 KiB", quick=False),
            compared("http2", "100 B", quick=False),
            compared("http2", "1 KiB", two_threads=True),
            compared("http2", "64 KiB", quick=False),
            compared("tls", "100 B", quick=False),
            compared("tls", "1 KiB"),
            compared("tls", "64 KiB", quick=False),
        ),
    ),
    World(
        "two plugins: key-auth and limit-count (nginx and HAProxy without)",
        two_plugins,
        (
            compared("http1", "1 KiB", "two plugins", headers=admin.KEY_HEADER),
            compared("http2", "1 KiB", "two plugins", headers=admin.KEY_HEADER, quick=False),
        ),
    ),
    World(
        "500 routes",
        many_routes,
        (
            compared("http1", "100 B", "500 routes", MIDDLE + "items/"),
            compared("http2", "100 B", "500 routes", MIDDLE + "items/"),
        ),
        routes=500,
    ),
    World("a function", function, (FUNCTION, FUNCTION_64K)),
    World("references", references, (REFERENCES,), settings=admin.SECRETS),
)

TITLES = {scenario.name: scenario.title for world in WORLDS for scenario in world.scenarios}
