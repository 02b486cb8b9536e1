"""Programs under test: started on free ports of loopback, logged to files, stopped by pid."""
import os
import pathlib
import random
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from .wait import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PENSTOCK_BIN", ROOT / "build/release/bin"))
# Sanitized programs are slower to start and stop.
PATIENCE = 4 if os.environ.get("PENSTOCK_PRESET") in ("asan", "tsan") else 1


def _own_ports():
    """Those that this process gives out, each once: processes of scenarios that run side by side have their own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(15000 + number, 32000, count)
    return random.sample(ports, len(ports))


_ports = _own_ports()


def free_port(wanted=0):
    """The wanted port when nobody has it, else one below those that the kernel gives to connections: between now
    and the start of the program that listens there, nobody takes it."""
    while True:
        port = wanted or _ports.pop()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                wanted = 0


def has_ipv6():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
            return True
        except OSError:
            return False


class Process:
    """One program. `command` may change between stop and start."""

    def __init__(self, name, command, folder):
        self.name, self.command, self.folder = name, [str(word) for word in command], pathlib.Path(folder)
        self.log, self.popen = self.folder / f"{name}.log", None

    def start(self):
        """Subclasses wait until it serves; launch() is without waiting."""
        return self.launch()

    def launch(self):
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          cwd=self.folder)
        return self

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self, seconds=15):
        """SIGTERM; the exit status. A program that does not end is killed, and that is a failure."""
        if self.popen is None:
            return 0
        if self.popen.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end on SIGTERM:\n{self.tail()}") from None

    def tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def wait_http(self, url, status=200, seconds=20):
        """Until the program answers the URL so; fails at once when it has ended."""
        def answers():
            if not self.is_running():
                raise AssertionError(f"{self.name} ended with {self.popen.returncode}:\n{self.tail()}")
            return http_status(url) == status
        until(answers, f"{self.name}: {url} to answer {status}", seconds * PATIENCE)
        return self


def http_status(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def http_text(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()
