"""Callers while something else happens."""
import re
import signal
import subprocess


class Load:
    """wrk over the agent; every answer that is not 2xx, and every socket error, is a failure."""

    def __init__(self, gateway, seconds, connections=16, path="/", headers=()):
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"Host: {gateway.host}"]
        for header in headers:
            words += ["-H", header]
        self.process = subprocess.Popen([*words, f"http://127.0.0.1:{gateway.agent.port}{path}"],
                                        stdout=subprocess.PIPE, text=True)

    def is_running(self):
        return self.process.poll() is None

    def finish(self):
        """Waits for its end; the number of requests."""
        report = self.process.communicate(timeout=120)[0]
        assert "Non-2xx" not in report and "Socket errors" not in report, report
        requests = int(re.search(r"(\d+) requests in", report).group(1))
        assert requests > 0
        return requests

    def end(self):
        """Ends it now, while it must still be running."""
        assert self.is_running(), "the load ended too early"
        self.process.send_signal(signal.SIGINT)
        return self.finish()


class Curl:
    """curl over HTTP/2 and TLS, several requests at once; whatever is not 200 over HTTP/2 is a failure. (In the clear,
    curl 7.88 uses no connection twice.)"""

    def __init__(self, folder, host, port, authority, path="/"):
        self.seen = open(folder / f"curl-{port}.txt", "w+", encoding="ascii")
        place = f"https://{host}:{port}{path}?[1-100000000]"
        self.process = subprocess.Popen(
            ["curl", "-s", "--no-progress-meter", "-o", "/dev/null", "-w",
             "%{stderr}%{http_code} %{http_version} %{errormsg}\n", "--resolve", f"{host}:{port}:127.0.0.1",
             "--http2", "-Z", "--parallel-max", "4", "--cacert", authority, place], stderr=self.seen)

    def end(self):
        """Ends it now; the number of requests."""
        assert self.process.poll() is None, "the load ended too early"
        self.process.terminate()
        self.process.wait(20)
        self.seen.seek(0)
        with self.seen:
            lines = self.seen.read().split("\n")[:-1]  # it may be ended within a line
        failed = [line for line in lines if line.strip() != "200 2"]
        assert lines and not failed, (len(lines), len(failed), failed[:5])
        return len(lines)
