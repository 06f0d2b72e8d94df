"""The measurements that crates keep as examples, of what needs no network: `cargo run --release --example`.

Each prints a few lines that say what they are.
"""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES = ("router", "aws", "vaults")
PATIENCE = 900  # seconds; the first run compiles


def run(told):
    """What each example printed, by `crate/example`."""
    printed = {}
    for source in (file for crate in CRATES for file in sorted((ROOT / "crates" / crate / "examples").glob("*.rs"))):
        crate, example = source.parts[-3], source.stem
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
