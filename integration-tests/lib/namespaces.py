"""Network namespaces, for scenarios whose packets get lost: two ends of a cable that can be cut."""
import ctypes
import os
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
HERE, THERE = "10.77.0.1", "10.77.0.2"
_libc = ctypes.CDLL(None, use_errno=True)


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Cable:
    """This thread, and what it starts, is in a namespace of its own at HERE; what is started with `command` in front
    is in another one at THERE. As a context: afterwards everything is as before."""

    def __enter__(self):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if _libc.unshare(CLONE_NEWNET) != 0:
            os.close(self.before)
            pytest.skip(f"no network namespaces here: {os.strerror(ctypes.get_errno())}")
        self.other = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo there; exec cat"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        assert self.other.stdout.readline() == b"there\n"
        pid = str(self.other.pid)
        self.command = ["nsenter", "-t", pid, "-n"]
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", pid)
        _ip("addr", "add", f"{HERE}/24", "dev", "here")
        _ip("link", "set", "here", "up")
        self._there("addr", "add", f"{THERE}/24", "dev", "there")
        self._there("link", "set", "lo", "up")
        self.mend()
        return self

    def __exit__(self, *_):
        self.other.stdin.close()
        self.other.wait(20)
        self.other.stdout.close()
        if _libc.setns(self.before, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(self.before)

    def _there(self, *words):
        subprocess.run([*self.command, "ip", *words], check=True, capture_output=True)

    def cut(self):
        """Packets are lost, and nobody is told."""
        self._there("link", "set", "there", "down")

    def mend(self):
        self._there("link", "set", "there", "up")
