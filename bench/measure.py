"""Measures the lanes of a scenario in turn, set after set, and drops the sets in which the machine was not quiet.

What others do on a machine swings rates threefold and CPU time by a tenth. So contestants alternate within a second or
two, and a ratio is made within a set: it is the median of those, not the ratio of two medians.
"""

from statistics import median

from load import saturate
from processes import Quiet

DISTURBED = 0.05  # of the machine's time, that others took during a set
CONTROL_OFF = 0.15  # by which the control's CPU time is away from its median


def measure(scenario, who, rounds, load_core, told):
    """The sets of a scenario: for each lane CPU time, rate and memory. `who` maps names to running contestants."""
    lanes = [lane for lane in scenario.lanes if lane.contestant in who]
    kept, controls, dropped, loud = [], [], 0, 0
    quiet = Quiet([contestant.program for contestant in who.values()])
    while len(kept) < rounds:
        quiet.start()
        figures = {lane.name: sample(lane, who[lane.contestant], scenario.seconds, load_core) for lane in lanes}
        why = off(quiet.disturbance(), figures.get("control"), controls)
        if why and dropped < rounds:
            told(f"   set {len(kept) + 1} is repeated: {why}")
            dropped += 1
            continue
        loud += bool(why)
        kept.append(figures)
    return {"base": scenario.base, "sets": kept, "dropped": dropped, "loud": loud}


def sample(lane, contestant, seconds, load_core):
    program = contestant.program
    before, user_before = program.cpu_seconds(), program.user_seconds()
    answered = saturate(lane.request, contestant.ports[lane.request.protocol], seconds, load_core)
    used, user = program.cpu_seconds() - before, program.user_seconds() - user_before
    return {
        "cpu_us": used / answered.requests * 1e6,
        "user_us": user / answered.requests * 1e6,
        "rate": answered.requests / answered.seconds,
        "resident": program.resident_bytes(),
    }


def off(disturbance, control, controls):
    """Why a set must not count, or None."""
    if disturbance > DISTURBED:
        return f"others took {disturbance:.0%} of the machine's time"
    if control:
        controls.append(control["cpu_us"])
        usual = median(controls)
        if len(controls) > 2 and abs(control["cpu_us"] - usual) > usual * CONTROL_OFF:
            return f"the control took {control['cpu_us']:.1f} µs a request, and usually takes {usual:.1f}"
    return None


def typical(measured, lane, figure):
    """The median of a figure of a lane, or None if it has none."""
    values = [figures[lane][figure] for figures in measured["sets"] if lane in figures]
    return median(values) if values else None


def ratio(measured, lane, figure="cpu_us"):
    """The median over the sets of a lane's figure against the base's."""
    base = measured["base"]
    sets = [figures for figures in measured["sets"] if lane in figures and base in figures]
    values = [figures[lane][figure] / figures[base][figure] for figures in sets]
    return median(values) if values else None
