"""The bars that the design sets for speed, and whether a run meets them."""

import re

import idle
from measure import ratio

INSTRUCTIONS = 36_000
HTTP1, HTTP2 = 1.10, 1.00  # CPU time against nginx
FUNCTION, REFERENCES = 1.25, 1.01
SIGNATURE_US = 1.5


def table(results):
    from report import markdown

    rows = [[what, bar, found, verdict(met)] for what, bar, found, met in rows_of(results)]
    return markdown(["what", "bar", "measured", ""], rows)


def verdict(met):
    return {True: "met", False: "**not met**", None: "not measured"}[met]


def rows_of(results):
    """(what, bar, measured, whether it is met or None) for each bar."""
    from report import mib, thousands

    counts, measured = results["instructions"], results["scenarios"]
    plain = counts.get("plain")
    yield "proxied GET, one route of 500, 8 headers: user instructions", f"≤ {thousands(INSTRUCTIONS)}", thousands(plain), within(plain, INSTRUCTIONS)
    for bar, names in (
        (HTTP1, {"http1-100-500-routes": "HTTP/1.1, 500 routes, 100 B", "http1-1k": "HTTP/1.1, 1 KiB", "http1-64k": "HTTP/1.1, 64 KiB"}),
        (HTTP2, {"http2-100-500-routes": "HTTP/2 in, HTTP/1.1 out, 500 routes, 100 B", "http2-1k": "HTTP/2, 1 KiB", "http2-64k": "HTTP/2, 64 KiB"}),
    ):
        for name, title in names.items():
            yield compared(f"CPU time against nginx: {title}", bar, lane_ratio(measured, name, "gateward"))
    yield compared("CPU time: a signed function call, 1 KiB, against a plain proxied one", FUNCTION, lane_ratio(measured, "function", "function"))
    yield compared("instructions: ten references against ten literals", REFERENCES, quotient(counts, "references", "literals"), digits=3)
    signature = re.search(r"([\d.]+) µs a signature", results["examples"].get("aws/signature", ""))
    signature = float(signature[1]) if signature else None
    yield "one signature", f"≤ {SIGNATURE_US} µs", f"{signature} µs" if signature else "–", within(signature, SIGNATURE_US)
    gateward = results.get("idle", {}).get("gateward")
    yield (
        f"memory {idle.SETTLE_SECONDS} s after {thousands(idle.CONNECTIONS)} idle connections, MiB",
        f"≤ 1.25 of {mib(gateward['before'])}, or 8" if gateward else "≤ 1.25 of before, or 8",
        mib(gateward["after"]) if gateward else "–",
        idle.is_back(gateward) if gateward else None,
    )


def compared(title, bar, value, digits=2):
    return title, f"≤ {bar:.2f}", "–" if value is None else f"{value:.{digits}f}", within(value, bar)


def within(value, bar):
    return None if value is None else value <= bar


def lane_ratio(measured, name, lane):
    return ratio(measured[name], lane) if name in measured else None


def quotient(counts, name, base):
    return counts[name] / counts[base] if name in counts and base in counts else None
