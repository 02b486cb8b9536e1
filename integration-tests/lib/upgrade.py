"""An agent whose program is replaced while it runs, and callers who watch it happen."""
import ctypes
import http.client
import os
import pathlib
import shutil
import signal
import threading

from .process import BIN, PATIENCE, Process
from .servers import Agent
from .wait import until

PR_SET_CHILD_SUBREAPER = 36
FAILURES_MAX = 100  # from there on a scenario has failed, and calling on would only hold the machine


class Successive(Process):
    """A program that starts its own successor, to which `pid` then belongs: the command has --pid-file."""

    def follow(self, pid_file):
        # Processes whose parent was replaced become children of this one, and can be waited for.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.pid_file, self.ended = pathlib.Path(pid_file), {}

    @property
    def pid(self):
        return int(self.pid_file.read_text()) if self.pid_file.exists() else self.popen.pid

    def signal(self, number):
        os.kill(self.pid, number)

    def exit_status(self, pid):
        """None while it runs, or while its parent, the process before it, still does."""
        if pid == self.popen.pid:
            return self.popen.poll()
        try:
            found, status = os.waitpid(pid, os.WNOHANG) if pid not in self.ended else (0, 0)
            if found:
                self.ended[pid] = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            pass
        return self.ended.get(pid)

    def is_running(self):
        return self.popen is not None and self.exit_status(self.pid) is None

    def wait_end(self, pid, seconds=20):
        until(lambda: self.exit_status(pid) is not None, f"process {pid} to end", seconds * PATIENCE)
        return self.exit_status(pid)

    def kill(self):
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        self.wait_end(pid)

    def stop(self, seconds=15):
        if not self.is_running():
            return 0
        pid = self.pid
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGTERM)
        return self.wait_end(pid, seconds)

    def upgrade(self):
        """SIGUSR2, until the new process serves and the old one has ended; the new pid."""
        old = self.pid
        os.kill(old, signal.SIGUSR2)
        until(lambda: self.pid != old, "the new process to serve", 20 * PATIENCE)
        assert self.wait_end(old) == 0, self.tail()
        return self.pid


class ReplaceableAgent(Successive, Agent):
    """Runs a copy of the binary, so that the file can be replaced; `pid` is of the process that serves."""

    def __init__(self, folder, controlplane, name="agent", extra=()):
        super().__init__(folder, controlplane, name, extra)
        self.program = pathlib.Path(folder) / f"{name}.bin"
        self.follow(pathlib.Path(folder) / f"{name}.pid")
        self.command[0] = str(self.program)
        self.command += ["--pid-file", str(self.pid_file)]
        self.install(BIN / "penstock-agent")

    def install(self, program):
        """As a package manager does: the new file takes the old one's name."""
        shutil.copy(program, f"{self.program}.new")
        os.replace(f"{self.program}.new", self.program)

    def install_script(self, *lines):
        path = self.program.with_suffix(".script")
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        self.install(path)

    def install_wrapper(self, *flags, before=":"):
        self.install_script(before, f'exec {BIN}/penstock-agent "$@" {" ".join(flags)}')

    def says(self, *words, count=1):
        """Until lines of its log have these words."""
        def said():
            lines = [line for line in self.log.read_text().splitlines() if all(word in line for word in words)]
            return len(lines) >= count and lines
        return until(said, f"the log to say {words}", 20 * PATIENCE)


class SecureConnection(http.client.HTTPConnection):
    def __init__(self, name, port, context):
        super().__init__("127.0.0.1", port, timeout=20)
        self.name, self.context = name, context

    def connect(self):
        super().connect()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.name)


class Callers:
    """Threads that call one after another: on kept connections, or with a new one for each request. Whatever is not
    200 is a failure, and so is a connection that ends otherwise than announced."""

    def __init__(self, gateway, kept=4, fresh=4, path="/", tls=None):
        """tls: the port and the context of callers over TLS."""
        self.gateway, self.path, self.tls, self.stopping = gateway, path, tls, threading.Event()
        self.answers, self.failures = 0, []
        self.threads = [threading.Thread(target=self.call, args=(number < kept,), daemon=True)
                        for number in range(kept + fresh)]
        for thread in self.threads:
            thread.start()

    def call(self, keep):
        connection = SecureConnection(self.gateway.host, *self.tls) if self.tls else \
            http.client.HTTPConnection("127.0.0.1", self.gateway.agent.port, timeout=20)
        while not self.stopping.is_set() and len(self.failures) < FAILURES_MAX:
            try:
                connection.request("GET", self.path, headers={"Host": self.gateway.host})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(answer.status)
                if not keep or answer.will_close:
                    connection.close()
                self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
        connection.close()

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        assert self.answers > 0 and not self.failures, (self.answers, self.failures[:5])
