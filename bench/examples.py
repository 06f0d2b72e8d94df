"""The measurements that crates keep as examples, of what needs no network: `cargo run --release --example`.

Each prints a few lines that say what they are. One that is not in the tree is left out.
"""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCHES = (("router", "matching"), ("aws", "signature"))
PATIENCE = 900  # seconds; the first run compiles


def run(told):
    """What each example printed, by `crate/example`."""
    printed = {}
    for crate, example in BENCHES:
        if not (ROOT / "crates" / crate / "examples" / f"{example}.rs").exists():
            continue
        told(f"== the example {example} of gateward-{crate}")
        command = [os.environ.get("CARGO", "cargo"), "run", "--quiet", "--locked", "--release"]
        command += ["--package", f"gateward-{crate}", "--example", example]
        try:
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as error:
            told(f"!! {example}: {error}")
            continue
        if result.returncode:
            told(f"!! {example} failed: {result.stderr.strip()[-400:]}")
            continue
        printed[f"{crate}/{example}"] = result.stdout.strip()
        told(result.stdout.strip())
    return printed
