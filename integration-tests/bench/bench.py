"""./dev bench: CPU per request of the agent, a null relay, nginx and HAProxy, interleaved in the same minutes.

CPU is user and system time of all processes of a contender, from /proc. The contender runs alone on the first core; the
load (wrk) and the backend (nginx) on the second. Absolute figures drift on a shared machine: compare the ratios.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib.gateway import Gateway  # noqa: E402
from lib.servers import Agent, ControlPlane, Nginx  # noqa: E402
from peers import KEY, HaproxyProxy, NginxProxy, Relay, wait  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
HOST = "bench.example.com"
BODY = "x" * 200


def pin(contender, core):
    for pid in family(contender.pid):
        subprocess.run(["taskset", "-acp", str(core), str(pid)], check=True, stdout=subprocess.DEVNULL)


def family(pid):
    """The process and its descendants."""
    found = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += family(int(child))
    return found


def cpu_seconds(pid):
    total = 0
    for member in family(pid):
        fields = pathlib.Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


class Ours:
    """The agent with one worker; `full` has 10,000 routes and every policy there is."""
    name = "penstock"

    def __init__(self, folder, backend, work, routes):
        self.controlplane = ControlPlane(folder, name=f"controlplane-{work}").start()
        log = ("--access-log", str(folder / "access.log")) if work == "full" else ("--access-log", "off")
        self.agent = Agent(folder, self.controlplane, f"agent-{work}", extra=("--workers", "1", *log)).start()
        gateway = Gateway(self.controlplane, self.agent, backend)
        gateway.group("bench", HOST)
        full = work == "full"
        auth = {"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True} if full else None
        gateway.api("bench/a", "/", auth=auth)
        if full:
            self.protect(gateway, routes)
        gateway.publish("bench/a")
        self.port, self.pid = self.agent.port, self.agent.pid

    def protect(self, gateway, routes):
        group = "groups/bench"
        self.controlplane.apply({"kind": "App", "name": "apps/shop"},
                                {"kind": "AppCode", "name": "apps/shop/codes/c", "code": KEY},
                                {"kind": "Authorization", "name": "apps/shop/authorizations/a", "api": f"{group}/apis/a"})
        gateway.bind("limit", "bench/a", throttle={"apiLimit": "1000000000", "appLimit": "1000000000", "ipLimit": "1000000000"})
        gateway.bind("addresses", "bench/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["127.0.0.0/8"]})
        gateway.bind("headers", "bench/a", responseHeaders={"headers": [
            {"name": "X-Frame-Options", "value": "DENY", "action": "HEADER_ACTION_TYPE_OVERRIDE"}]})
        documents = [{"kind": "Api", "name": f"{group}/apis/r{n}", "frontend": {
            "protocol": "PROTOCOL_HTTP", "method": "HTTP_METHOD_GET", "path": f"/r{n}/{{id}}"},
            "backend": {"mock": {}}} for n in range(routes)]
        if documents:
            self.controlplane.apply(*documents)
        for n in range(routes):
            self.controlplane.ctl("publish", f"bench/r{n}")

    def stop(self):
        self.agent.stop()
        self.controlplane.stop()


def run_load(contender, seconds, connections, work):
    """One round: CPU us per request, and requests a second."""
    key = ["-H", f"X-Apig-AppCode: {KEY}"] if work == "full" else []
    before = cpu_seconds(contender.pid)
    report = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"Host: {HOST}", *key,
         f"http://127.0.0.1:{contender.port}/"], capture_output=True, text=True, check=True).stdout
    after = cpu_seconds(contender.pid)
    assert "Non-2xx" not in report and "Socket errors" not in report, f"{contender.name}: {report}"
    requests = int(re.search(r"(\d+) requests in", report).group(1))
    return (after - before) * 1e6 / requests, requests / seconds


def measure(contenders, options, work):
    figures = {contender: [] for contender in contenders}
    for number in range(options.rounds):
        for contender in contenders:
            figures[contender].append(run_load(contender, options.seconds, options.connections, work))
            print(f"\r{work}: round {number + 1} of {options.rounds}, {contender.name:<12}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return figures


def print_table(title, figures, relay):
    print(f"\n{title}")
    print(f"{'':<14}{'us/request':>11}{'ratio':>8}{'min':>7}{'max':>7}{'requests/s':>12}")
    for contender, rounds in figures.items():
        ratios = [cost / relay_cost for (cost, _), (relay_cost, _) in zip(rounds, relay)]
        print(f"{contender.name:<14}{statistics.median(cost for cost, _ in rounds):>11.1f}"
              f"{statistics.median(ratios):>8.2f}{min(ratios):>7.2f}{max(ratios):>7.2f}"
              f"{statistics.median(rate for _, rate in rounds):>12.0f}")


def bench(work, options, folder, backend):
    contenders = [wait(Relay(folder, backend, work).start())]
    contenders += [wait(peer(folder, backend, work).start()) for peer in (NginxProxy, HaproxyProxy)]
    names = {"relay": Relay.name, "nginx": NginxProxy.name, "haproxy": HaproxyProxy.name}
    for contender in contenders:
        contender.name = names[contender.name.split("-")[0]]
    contenders.append(Ours(folder, backend, work, options.routes))
    try:
        for contender in contenders:
            pin(contender, 0)
        figures = measure(contenders, options, work)
        relay = figures[contenders[0]]
        what = {"plain": "plain proxying, keep-alive, 200-byte answers",
                "full": f"full chain: {options.routes} more routes, AppCode, throttle by API, app and address, IP access, "
                        "response header, JSON access log"}[work]
        print_table(f"{what}; {options.connections} connections, ratio to the null relay of the same round", figures, relay)
    finally:
        for contender in contenders:
            contender.stop()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of load for each contender and round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--routes", type=int, default=1000, help="further routes of the full chain")
    parser.add_argument("--work", choices=("plain", "full"), action="append", help="default: both")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = pathlib.Path(name)
        backend = Nginx(folder, server=f'location / {{ return 200 "{BODY}"; }}')
        backend.start()
        try:
            pin(backend, 1)
            for work in options.work or ("plain", "full"):
                bench(work, options, folder, backend)
        finally:
            backend.stop()


if __name__ == "__main__":
    main()
