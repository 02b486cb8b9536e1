"""Many agents in one process (bench/fleet.c), and what they say has happened to them."""
import subprocess
import threading
import time

from .process import BIN
from .wait import until


class Fleet:
    """Agent i's revision, and of every update who got it when; times are time.monotonic_ns()."""

    def __init__(self, controlplane, agents, slow_read=0, never_ack=0, never_read=0, **options):
        self.agents, self.prompt = agents, agents - slow_read - never_ack - never_read
        self.command = [BIN / "fleet", "--server", controlplane.address, "--agents", agents, "--slow-read", slow_read,
                        "--never-ack", never_ack, "--never-read", never_read]
        for name, value in options.items():
            self.command += [f"--{name.replace('_', '-')}", value]
        self.revisions = {}  # of each agent that has acknowledged one
        self.connections, self.open = 0, set()
        self.acks = []       # (revision, base, bytes, agent, time)
        self.ends = []       # (agent, what it was told)
        self.popen, self.began_ns = None, 0

    def start(self):
        self.began_ns = time.monotonic_ns()
        self.popen = subprocess.Popen([str(word) for word in self.command], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, text=True, bufsize=1 << 20)
        threading.Thread(target=self._follow, daemon=True).start()
        return self

    name = "fleet"

    def tail(self):
        return "\n".join(f"{agent} ended: {why}" for agent, why in self.ends[-20:])

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self):
        return self.popen.pid

    def _follow(self):
        for line in self.popen.stdout:
            what, agent, at, *more = line.split(maxsplit=3)
            agent = int(agent)
            if what == "connected":
                self.connections += 1
                self.open.add(agent)
            elif what == "acked":
                revision, base, size = map(int, more[0].split())
                self.acks.append((revision, base, size, agent, int(at)))
                self.revisions[agent] = revision
            elif what == "ended":
                self.open.discard(agent)
                self.ends.append((agent, more[0].strip()))

    def at(self, revision, count=None):
        """How many, at least `count` of them (by default the prompt ones), have acknowledged that or more; else 0."""
        done = sum(have >= revision for have in list(self.revisions.values()))
        return done if done >= (self.prompt if count is None else count) else 0

    def wait(self, revision=1, count=None, seconds=20.0):
        return until(lambda: self.at(revision, count), f"the fleet at revision {revision}", seconds)

    def wait_open(self, count=None, seconds=20.0):
        return until(lambda: len(self.open) >= (self.agents if count is None else count), "the fleet to connect", seconds)

    def stop(self, seconds=10):
        if self.popen and self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        return self.popen.returncode if self.popen else 0
