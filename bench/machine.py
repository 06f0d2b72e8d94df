"""What a figure was measured on and with: cores, processor, kernel, versions. No names of hosts, no paths."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

from contestants import found

VERSIONS = {
    "nginx": ["-v"],
    "haproxy": ["-v"],
    "h2load": ["--version"],
    "valgrind": ["--version"],
}


def describe(binary):
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 1024 / 1024
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "processor": processor[1] if processor else platform.machine(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "gateward": commit(),
        "versions": {name: version(name, options) for name, options in VERSIONS.items()},
    }


def version(name, options):
    try:
        result = subprocess.run([found(name), *options], capture_output=True, text=True)
    except OSError:
        return "not installed"
    number = re.search(r"\d+\.\d+(\.\d+)?", result.stdout + result.stderr)
    return number[0] if number else "unknown"


def commit():
    """The commit that is checked out, or an empty text outside a repository."""
    here = Path(__file__).parent
    result = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    return result.stdout.strip()
