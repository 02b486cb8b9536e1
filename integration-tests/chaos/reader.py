"""Callers of one agent, on its machine: what it answers, as events of history.py, a line of JSON each on stdout.

Arguments: its name, address and port, the port of its operations, and the number of keys. SIGTERM: one more look at
everything, then the end."""
import json
import pathlib
import re
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.http1 import Connection  # noqa: E402
from lib.process import http_text  # noqa: E402

HOST = "chaos.example.com"
PAUSE = 0.003  # between requests
PATIENCE = 60  # seconds: an agent that is paused answers late, and that is no failure

stopping = threading.Event()


def say(kind, **fields):
    sys.stdout.write(json.dumps({"kind": kind, **fields}) + "\n")
    sys.stdout.flush()


class Caller:
    def __init__(self, agent, address, port, keys):
        self.agent, self.address, self.port = agent, address, port
        self.keys = [f"k{number}" for number in range(keys)]
        self.connection, self.failing_since, self.why = None, None, ""
        self.versions, self.requests, self.is_begun = {}, 0, False

    def request(self, path):
        """(answer, began, ended); None: it failed."""
        began = time.monotonic()
        try:
            self.connection = self.connection or Connection(self.port, PATIENCE, self.address)
            answer = self.connection.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").read()
            if answer is None:
                raise OSError("the connection was closed")
            if answer.status != 200:
                raise OSError(f"{path}: {answer.status} {answer.body[:120]!r}")
        except OSError as error:
            self.failed(began, error)
            return None
        ended = time.monotonic()
        self.requests += 1
        if answer.header("Connection") == "close":
            self.connection.close()
            self.connection = None
        if self.failing_since is not None:
            say("failure", agent=self.agent, t=self.failing_since, end=ended, text=self.why)
            self.failing_since = None
        return answer, began, ended

    def failed(self, began, error):
        if self.connection:
            self.connection.close()
            self.connection = None
        if self.failing_since is None and self.is_begun:
            self.failing_since, self.why = began, f"{type(error).__name__}: {error}"
        stopping.wait(0.05)

    def read_key(self, key, always=False):
        found = self.request(f"/{key}")
        if not found:
            return False
        answer, began, ended = found
        version = int(answer.body)
        if always or self.versions.get(key) != version:
            say("read", agent=self.agent, key=key, version=version, t=began, end=ended)
            self.versions[key] = version
        return True

    def read_pair(self):
        """The header is a policy's, the body that of the channel's member: both change in one transaction."""
        found = self.request("/pair")
        if found and found[0].header("X-Pair") != found[0].body.decode():
            say("mixed", agent=self.agent, t=found[1], text=f"policy {found[0].header('X-Pair')}, channel {found[0].body!r}")

    def run(self):
        while not stopping.is_set() and not all(map(self.request, ["/pair", *(f"/{key}" for key in self.keys)])):
            pass
        self.is_begun = True
        while not stopping.is_set():
            for key in self.keys:
                self.read_key(key)
                self.read_pair()
                time.sleep(PAUSE)
        for key in self.keys:
            if not self.read_key(key, always=True):
                say("failure", agent=self.agent, t=self.failing_since, end=time.monotonic() + 3600, text=self.why)
        say("requests", agent=self.agent, count=self.requests)


def watch_revision(agent, url):
    last = None
    while not stopping.wait(0.05):
        began = time.monotonic()
        try:
            text = http_text(url)
        except (OSError, ValueError):
            continue
        found = re.search(r"^penstock_agent_revision (\d+)", text, re.MULTILINE)
        revision = int(found.group(1)) if found else 0
        if revision and revision != last:  # the store, and with it the cluster id, is never another one here
            say("revision", agent=agent, cluster="", revision=revision, t=began)
            last = revision


def main():
    agent, address, port, ops, keys = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=watch_revision, args=(agent, f"http://{address}:{ops}/metrics"), daemon=True).start()
    Caller(agent, address, int(port), int(keys)).run()


if __name__ == "__main__":
    main()
