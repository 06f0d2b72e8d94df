"""The bars that the design sets for speed, and whether a run meets them."""

import re
from statistics import median

import function
import idle
import leases
import scale
from instructions import AT_MOST
from measure import ratio
from tables import markdown, mib, thousands, times

INSTRUCTIONS = 36_000
HTTP1, HTTP2 = 1.10, 1.00  # CPU time against nginx
FUNCTION = 1.25
SIGNATURE_US = 1.5

# Which scenarios a bar against nginx is held to.
AGAINST_NGINX = (
    (HTTP1, "http1-100-500-routes", "HTTP/1.1, 500 routes, 100 B"),
    (HTTP1, "http1-1k", "HTTP/1.1, 1 KiB"),
    (HTTP1, "http1-64k", "HTTP/1.1, 64 KiB"),
    (HTTP2, "http2-100-500-routes", "HTTP/2 in, HTTP/1.1 out, 500 routes, 100 B"),
    (HTTP2, "http2-1k", "HTTP/2 in, HTTP/1.1 out, 1 KiB"),
    (HTTP2, "http2-64k", "HTTP/2 in, HTTP/1.1 out, 64 KiB"),
)


def table(results):
    rows = [[what, bar, found, VERDICTS[met]] for what, bar, found, met in rows_of(results)]
    return markdown(["what", "bar", "measured", ""], rows)


NO_BAR = "no bar"
VERDICTS = {True: "met", False: "**not met**", None: "not measured", NO_BAR: ""}


def rows_of(results):
    """(what, bar, measured, whether it is met or None) for each bar."""
    counts, measured = results["instructions"], results["scenarios"]
    plain = counts.get("plain")
    what = "proxied GET, one route of 500, 8 headers: user instructions"
    yield what, f"≤ {thousands(INSTRUCTIONS)}", thousands(plain), within(plain, INSTRUCTIONS)
    for bar, name, title in AGAINST_NGINX:
        yield compared(f"CPU time against nginx: {title}", bar, lane_ratio(measured, name, "gateward"))
    what = "CPU time: a signed function call, 1 KiB, against a plain proxied one"
    yield compared(what, FUNCTION, lane_ratio(measured, "function", "function"))
    for lane, how in (("apikey", "with an API key"), ("named", "by name")):
        ratio_of_lane = lane_ratio(measured, "function", lane)
        yield f"the same called {how}", "", times(ratio_of_lane), NO_BAR if ratio_of_lane else None
    what = "instructions: ten references against ten literals"
    other, most = AT_MOST["references"]
    yield compared(what, most, quotient(counts, "references", other), digits=3)
    yield signature(results["examples"].get("aws/signature", ""))
    yield from many_routes(results.get("scale"), results["examples"].get("router/scale", ""))
    yield memory(results.get("idle", {}).get("gateward"))
    yield from lease_rows(results.get("leases"))
    for what, bar, found, met in function.bars(results.get("function")):
        yield f"a Lambda function: {what}", bar, found, met


def signature(printed):
    found = re.search(r"([\d.]+) µs a signature", printed)
    microseconds = float(found[1]) if found else None
    return "one signature, µs", f"≤ {SIGNATURE_US}", times(microseconds), within(microseconds, SIGNATURE_US)


def many_routes(process, printed):
    what = f"{thousands(scale.ROUTES)} routes"
    # name, seconds to compile, ns a match, µs a change
    mixes = [list(map(float, row)) for row in re.findall(r"([\d.]+) s +([\d.]+) ns +([\d.]+) µs$", printed, re.M)]
    compiled, match, _change = map(max, zip(*mixes)) if mixes else (None, None, None)
    typical = median(mix[1] for mix in mixes) if mixes else None
    yield f"{what} compiled, s, the slowest of {len(mixes)} mixes", "≤ 2", times(compiled), within(compiled, 2)
    yield f"{what}: a match, µs, the median of the mixes", "≤ 2", times(typical and typical / 1000), within(typical, 2000)
    change = process["change"] if process and process["routes"] == scale.ROUTES else None
    what = f"{what}: one change by the Admin API, until it is served, ms"
    yield what, "≤ 100", times(change and change * 1000, 0), within(change, 0.1)


def memory(figures):
    what = f"memory {idle.SETTLE_SECONDS} s after {thousands(idle.CONNECTIONS)} idle connections have gone, MiB"
    if not figures:
        return what, "≤ 1.25 of before, or 8", "–", None
    return what, f"≤ 1.25 of {mib(figures['before'])}, or 8", mib(figures["after"]), idle.is_back(figures)


def lease_rows(figures):
    """Those of the leases that have a bar; of a quick run none counts, for it makes fewer."""
    for what, bar, shown, met in leases.rows_of(figures or {}):
        if bar:
            yield f"leases: {what}", bar, shown, None if not figures or figures["quick"] else met


def compared(what, bar, value, digits=2):
    return what, f"≤ {bar:.2f}", times(value, digits), within(value, bar)


def within(value, bar):
    return None if value is None else value <= bar


def lane_ratio(measured, name, lane):
    return ratio(measured[name], lane) if name in measured else None


def quotient(counts, name, base):
    return counts[name] / counts[base] if name in counts and base in counts else None
