"""Programs that a benchmark starts, what they have used, and whether the machine was quiet meanwhile.

CPU time is the clock that the kernel keeps for a whole process: the user and system time of all its threads, also of
those that have ended, as /proc/PID/stat shows it but in nanoseconds rather than in ticks of ten milliseconds.
"""

import os
import resource
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 90


class NotStarted(Exception):
    pass


class Program:
    """A program that runs in the background until `stop`, on the cores that it was given."""

    def __init__(self, command, log, cores=None, environment=None):
        pinned = ["taskset", "-c", ",".join(map(str, cores)), *command] if cores else list(command)
        self.log = Path(log)
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                pinned,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        self.pid = self.process.pid

    def await_port(self, port):
        """Waits until somebody listens on `port`; a program that ends before has failed, and its log says why."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return
            except OSError:
                time.sleep(0.02)
        raise NotStarted(self.log.read_text(errors="replace")[-2000:])

    def family(self):
        """This process and its children: nginx works in a child."""
        return [self.pid, *children_of(self.pid)]

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in self.family())

    def user_seconds(self):
        """The part of it that is not the kernel's, in ticks of ten milliseconds."""
        return sum(user_seconds(pid) for pid in self.family())

    def resident_bytes(self):
        return sum(resident_bytes(pid) for pid in self.family())

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def children_of(parent):
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(after_name[1]) == parent:
            found.append(int(status.parent.name))
    return found


def cpu_seconds(pid):
    """The process CPU clock of `pid`; its number is made as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime((~pid << 3) | 2)


def user_seconds(pid):
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@dataclass
class Quiet:
    """Watches, between two looks, how much of the machine went to anybody but the benchmark."""

    ours: list  # programs
    since: tuple = ()

    def start(self):
        self.since = self._look()

    def disturbance(self):
        """The share of the machine's time that others took, other machines on the same hardware (steal) among them."""
        total, busy, stolen, ours = (now - then for now, then in zip(self._look(), self.since))
        return max(0.0, busy - ours + stolen) / total if total > 0 else 0.0

    def _look(self):
        tick = os.sysconf("SC_CLK_TCK")
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, idle, iowait, irq, softirq, stolen = (int(field) / tick for field in fields[:8])
        busy = user + nice + system + irq + softirq
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        myself = resource.getrusage(resource.RUSAGE_SELF)
        ours = sum(program.cpu_seconds() for program in self.ours)
        ours += children.ru_utime + children.ru_stime + myself.ru_utime + myself.ru_stime
        return busy + idle + iowait + stolen, busy, stolen, ours
