"""Draws the CPU time of a request against nginx, a row a scenario, as an SVG for light and for dark pages."""

from html import escape

import bars
import scenarios
from measure import ratio

WIDTH, ROW, TOP, LEFT, RIGHT = 820, 30, 100, 250, 84
STYLE = """
.page { fill: #ffffff } .text { fill: #1f2328 } .soft { fill: #59636e } .grid { stroke: #d8dee4 } .nginx { stroke: #59636e }
.bar { stroke: #1a7f37 } .haproxy { fill: #ffffff; stroke: #bc4c00 } .gateward { fill: #0969da } .span { stroke: #b6c8de }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } .text { fill: #e6edf3 } .soft { fill: #9198a1 } .grid { stroke: #2a313c } .nginx { stroke: #9198a1 }
.bar { stroke: #3fb950 } .haproxy { fill: #0d1117; stroke: #f0883e } .gateward { fill: #4493f8 } .span { stroke: #2f4a6b }
}
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
.title { font-size: 15px; font-weight: 600 } .small { font-size: 12px } .value { font-weight: 600 }
"""


def draw(results):
    rows = [
        (scenarios.TITLES[name], ratio(measured, "haproxy"), ratio(measured, "gateward"), bar_of(name))
        for name, measured in results["scenarios"].items()
        if measured["base"] == "nginx"
    ]
    most = max([1.3] + [value + 0.1 for row in rows for value in row[1:3] if value])
    height = TOP + ROW * len(rows) + 40

    def x(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * value / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">',
        '<title id="title">CPU time a request against nginx: less is better</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        text(20, 30, "CPU time a request, against tuned nginx", "text title"),
        text(20, 50, "one core; less is better", "soft small"),
        *legend(WIDTH - 32, 46),
    ]
    parts.append(text(WIDTH - 20, TOP - 14, "Gateward", "soft small", "end"))
    bottom = TOP + ROW * len(rows)
    tick = 0.0
    while tick <= most:
        kind = "nginx" if tick == 1 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 8}" y2="{bottom}"/>')
        label = "nginx = 1" if tick == 1 else f"{tick:g}"
        parts.append(text(x(tick), bottom + 20, label, "soft small", "middle"))
        tick += 0.5
    for number, (title, haproxy, gateward, bar) in enumerate(rows):
        y = TOP + ROW * number + ROW / 2 - 4
        parts.append(text(LEFT - 14, y + 4, title, "text", "end"))
        if bar:
            parts.append(f'<line class="bar" stroke-width="2.5" x1="{x(bar):.1f}" x2="{x(bar):.1f}" y1="{y - 9}" y2="{y + 9}"/>')
        if haproxy and gateward:
            parts.append(f'<line class="span" stroke-width="2" x1="{x(haproxy):.1f}" x2="{x(gateward):.1f}" y1="{y}" y2="{y}"/>')
        if haproxy:
            parts.append(f'<circle class="haproxy" stroke-width="2" cx="{x(haproxy):.1f}" cy="{y}" r="5"/>')
        if gateward:
            parts.append(f'<circle class="gateward" cx="{x(gateward):.1f}" cy="{y}" r="6"/>')
            parts.append(text(WIDTH - 20, y + 4, f"{gateward:.2f}", "text value", "end"))
    return "\n".join([*parts, "</svg>", ""])


def bar_of(name):
    """The design's bar for a scenario; with plugins and over TLS it sets none."""
    if "two-plugins" in name:
        return None
    return {"http1": bars.HTTP1, "http2": bars.HTTP2}.get(name.split("-")[0])


def legend(right, y):
    return [
        f'<circle class="gateward" cx="{right - 292}" cy="{y - 4}" r="6"/>',
        text(right - 280, y, "Gateward", "text small"),
        f'<circle class="haproxy" stroke-width="2" cx="{right - 206}" cy="{y - 4}" r="5"/>',
        text(right - 194, y, "HAProxy", "text small"),
        f'<line class="bar" stroke-width="2.5" x1="{right - 126}" x2="{right - 126}" y1="{y - 13}" y2="{y + 5}"/>',
        text(right - 116, y, "the bar for Gateward", "text small"),
    ]


def text(x, y, content, kind, anchor="start"):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'
