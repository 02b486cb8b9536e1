"""Completion in the shells themselves: zsh at a terminal, as a user types; fish by its own question."""
import os
import pty
import select
import signal
import subprocess

import pytest

from lib.process import BIN, PATIENCE
from lib.wait import until
from test_ctl_words import ORDERS


@pytest.fixture
def environment(controlplane, tmp_path):
    controlplane.ctl("apply", "-f", "-", stdin=ORDERS)
    return {"PATH": f"{BIN}:/usr/bin:/bin", "PENSTOCK_SERVER": controlplane.address, "HOME": str(tmp_path), "TERM": "dumb",
            "LC_ALL": "C.UTF-8"}


class Zsh:
    """At a terminal of its own, without anybody's settings."""

    def __init__(self, environment):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
        self.said = b""

    def hear(self):
        if select.select([self.terminal], [], [], 0.1)[0]:
            self.said += os.read(self.terminal, 65536)
        return self.said

    def type(self, keys, awaited):
        """What was said since, once the awaited text is there."""
        self.said = b""
        os.write(self.terminal, keys.encode())
        until(lambda: awaited.encode() in self.hear(), f"zsh to say {awaited!r} to {keys!r}", 20 * PATIENCE)
        return self.said.decode()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


@pytest.fixture
def zsh(environment):
    shell = Zsh(environment)
    try:  # what it echoes is not what it prints: the quotes are gone
        shell.type("autoload -Uz compinit; compinit -u -D; source <(penstockctl completion zsh); print rea''dy\n", "ready\r\n")
        yield shell
    finally:
        shell.close()


TO_START, LIST = "\x01", "\x04"


@pytest.mark.parametrize("typed, line", [
    ("penstockctl pub\torders/w\t", "penstockctl publish orders/write"),
    ("penstockctl get api ord\tre\t", "penstockctl get api orders/read"),      # no blank behind "orders/"
    ("penstockctl delete policy th\t", "penstockctl delete policy three"),
    ("penstockctl publish orders/read --env TE\t", "penstockctl publish orders/read --env TEST"),
    ("penstockctl get apis --outp\tjs\t", "penstockctl get apis --output json"),
    ("penstockctl explain api.frontend.pa\t", "penstockctl explain api.frontend.path")])
def test_zsh_completes(zsh, typed, line):
    assert zsh.type(f"{typed}{TO_START}print -r -- IS: \n", f"\nIS: {line}\r\n")


def test_zsh_lists_what_there_is(zsh):
    assert "orders" in zsh.type(f"penstockctl get group o{LIST}", "other")


def test_zsh_completes_files(zsh, tmp_path):
    (tmp_path / "bundle-of-mine.yaml").touch()
    zsh.type("cd ~; print mo''ved\n", "moved\r\n")
    zsh.type(f"penstockctl apply -f bundle-\t{TO_START}print -r -- IS: \n", "\nIS: penstockctl apply -f bundle-of-mine.yaml\r\n")


@pytest.mark.parametrize("typed, offered", [
    ("penstockctl pub", ["publish"]), ("penstockctl get api o", ["orders/", "other/"]),
    ("penstockctl get api orders/", ["orders/read", "orders/write"]), ("penstockctl config use", ["use-context"]),
    ("penstockctl publish orders/read --env ", ["RELEASE", "TEST"]), ("penstockctl --cont", ["--context"]),
    ("penstockctl get nothing-like-it ", [])])
def test_fish_completes(environment, typed, offered):
    script = f"penstockctl completion fish | source; complete -C '{typed}'"
    done = subprocess.run(["fish", "--no-config", "-c", script], env=environment, capture_output=True, text=True, check=True,
                          timeout=60)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == offered, done.stderr


def test_fish_completes_files(environment, tmp_path):
    (tmp_path / "bundle-of-mine.yaml").touch()
    script = "cd ~; penstockctl completion fish | source; complete -C 'penstockctl apply -f bundle-'"
    done = subprocess.run(["fish", "--no-config", "-c", script], env=environment, capture_output=True, text=True, check=True,
                          timeout=60)
    assert done.stdout.split("\t")[0].strip() == "bundle-of-mine.yaml"
