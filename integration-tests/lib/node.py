"""Programs on Node.js, with what package.json names."""
import fcntl
import json
import os
import subprocess

from .process import ROOT, Process, free_port
from .wait import until

NODE = ROOT / "integration-tests/node"


def install():
    """What the lock file says, once."""
    lock, installed = NODE / "package-lock.json", NODE / "node_modules/.package-lock.json"
    with open(lock, encoding="utf8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # scenarios run side by side
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=NODE, check=True)


def node(script, *words, ca=None):
    """Runs it to its end, with one more authority that it trusts; the JSON that it prints."""
    install()
    done = subprocess.run(["node", NODE / script, *map(str, words)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "NODE_EXTRA_CA_CERTS": str(ca or "")})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class NodeServer(Process):
    """A script that listens on the port it is told and prints "listening"."""

    def __init__(self, folder, script, *words):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        super().__init__(script.removesuffix(".js"), ["node", NODE / script, self.port, *words], folder)

    def start(self):
        install()
        super().start()
        until(lambda: "listening" in self.log.read_text(), f"{self.name} to listen")
        return self
