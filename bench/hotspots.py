"""Where a request's instructions go: by the library whose source they were written in, and by function.

It reads the profiles that callgrind has written for few and for many requests, and takes the difference, as the counts do.
"""

import re
from collections import Counter

CRATE = re.compile(r"/registry/src/[^/]+/(?P<library>[^/]+)-\d+\.\d[^/]*/|(?<!/stdarch)/crates/(?P<ours>[^/]+)/src/")
# The first crate in a function's name that is not the standard library.
OWNER = re.compile(r"(?<![\w:])(?!(?:core|alloc|std|hashbrown|__rustc)::)(?P<crate>[a-z_0-9]{2,})::")
KEPT_FUNCTIONS = 20


def per_request(few, many, difference):
    """`few` and `many` are each a profile, `difference` the requests between; two lists of (name, instructions)."""
    libraries, functions = Counter(), Counter()
    for path, sign in ((many, 1), (few, -1)):
        for (file, function), cost in self_costs(path).items():
            libraries[library(file, function)] += sign * cost
            functions[shortened(function)] += sign * cost
    return ordered(libraries, difference), ordered(functions, difference)[:KEPT_FUNCTIONS]


def ordered(counter, difference):
    return [(name, round(cost / difference)) for name, cost in counter.most_common() if cost >= difference]


def self_costs(path):
    """What each function of each source file took by itself. A name is written once, and then stands as a number."""
    names, costs = {"file": {}, "function": {}}, Counter()
    file = function = None
    calls = False
    with path.open(errors="replace") as lines:
        for line in lines:
            if line[:3] in ("fl=", "fi=", "fe="):
                file = named(names["file"], line)
            elif line.startswith("fn="):
                function = named(names["function"], line)
            elif line.startswith(("cfn=", "cfi=", "cfl=")):
                named(names["function" if line.startswith("cfn") else "file"], line)
            elif line.startswith("calls="):
                calls = True  # the next line has the cost of what was called
            elif line[:1] in "+-*0123456789":
                if not calls:
                    costs[file, function] += int(line.split()[1])
                calls = False
    return costs


def named(known, line):
    number, _, name = line.partition("=")[2].strip().partition(" ")
    if name:
        known[number] = name
    return known.get(number, number)


def library(file, function):
    found = CRATE.search(file or "")
    if found:
        return found["library"] or f"gateward-{found['ours']}"
    if "/library/" in (file or ""):
        # Inlined from the standard library: whoever has inlined it spends it.
        crate = OWNER.search(function or "")
        return crate["crate"].replace("_", "-") if crate else "Rust's standard library"
    if re.match(r"_*(mem|str)[a-z]*(_|$)", function or ""):
        return "libc: memory copied and compared"
    if "malloc" in (file or ""):
        return "libc: memory allocated and freed"
    return "libc: the rest, and what has no name"


def shortened(function):
    """Without the closures and type parameters that make a name fill lines."""
    return re.sub(r"(::\{\{closure\}\})+|'\d+$|@@?GLIBC.*$", "", function or "?")
