"""What 100,000 APIs and 1,000,000 apps cost one agent, and what one change among them does. Prints; judges nothing.

This program is the control plane: it speaks the agents' protocol (agent.proto), so that only the agent is measured.
"""
import argparse
import contextlib
import hashlib
import os
import pathlib
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.admin import Stubs  # noqa: E402
from lib.process import free_port  # noqa: E402
from lib.servers import Agent  # noqa: E402
from lib.wait import until  # noqa: E402

CHUNK_BYTES = 200 * 1024
HOST = "scale0.example.com"
PACE = 50  # changes a second
RATE, CALLERS = 4000, 16  # requests a second where the machine is not to be full: what it can do is ten times that


class Feed:
    """In the place of a control plane."""

    def __init__(self, stubs):
        self.pb = stubs.module("penstock.agent.v1.agent")
        self.address, self.revision, self.base, self.acked = f"127.0.0.1:{free_port()}", 0, 0, 0
        self.ack, self.stream, self.last = threading.Condition(), queue.Queue(), (0, [])
        # As the control plane: no ping behind each acknowledgement.
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.http2.bdp_probe", 0)])
        handler = grpc.stream_stream_rpc_method_handler(self.talk, self.pb.AgentMessage.FromString, bytes)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "penstock.agent.v1.AgentService", {"Stream": handler}),))
        self.server.add_insecure_port(self.address)
        self.server.start()

    def talk(self, messages, _context):
        hello, mine = next(messages).hello, queue.Queue()
        self.stream.put(None)
        if self.last[0] == hello.revision and hello.revision != self.revision:  # it had not come to that
            for message in self.last[1]:
                mine.put(message)
        self.stream = mine

        def listen():
            try:
                for message in messages:
                    if message.HasField("ack"):
                        assert not message.ack.refusals, message.ack.refusals[0]
                        with self.ack:
                            self.acked = message.ack.revision
                            self.ack.notify_all()
            except grpc.RpcError:
                pass
        threading.Thread(target=listen, daemon=True).start()
        while (message := mine.get()) is not None:
            yield message

    def pack(self, resources, full):
        """The messages of one update."""
        self.base, base = self.revision, 0 if full else self.revision
        self.revision += 1
        chunks, size, update = [], 0, None
        for resource in resources:
            if update is None or size > CHUNK_BYTES:
                update, size = self.pb.Update(cluster_id="c", revision=self.revision, base_revision=base), 0
                chunks.append(update)
            update.upserts.append(resource)
            size += resource.ByteSize()
        chunks[-1].final = True
        return [self.pb.ControlMessage(update=chunk).SerializeToString() for chunk in chunks]

    def send(self, messages, seconds=120):
        """Until it is acknowledged; how long that took."""
        begin = time.monotonic()
        self.last = (self.base, messages)
        for message in messages:
            self.stream.put(message)
        self.settle(seconds)
        return time.monotonic() - begin

    def settle(self, seconds=120):
        with self.ack:
            assert self.ack.wait_for(lambda: self.acked >= self.revision, seconds), "no acknowledgement"

    def tell(self, *resources):
        return self.send(self.pack(resources, False))

    def stop(self):
        self.stream.put(None)
        self.server.stop(0)


class World:
    """APIs over groups, apps, each as a resource of the agents' protocol."""

    def __init__(self, pb, apis, groups):
        self.pb, self.apis, self.groups = pb, apis, groups

    def group(self, number):
        return self.pb.Resource(group=self.pb.Group(name=f"groups/scale{number}", domains=[f"scale{number}.example.com"]))

    def group_of(self, number):
        """The load calls the first ones, all of one host."""
        return f"groups/scale{number % self.groups if number >= 10 else 0}"

    def api(self, number, change=0):
        group, name = self.group_of(number), f"r{number:07d}"
        backend = self.pb.Backend(http=self.pb.HttpBackend(
            host="127.0.0.1", port=9, path=f"/v{change}/{{id}}", timeout_ms=5000, retry_count=-1))
        if number < 10:  # what the load calls
            backend = self.pb.Backend(mock=self.pb.MockBackend(status=200, body=b"ok"))
        return self.pb.Resource(route=self.pb.Route(
            name=f"{group}/apis/{name}@RELEASE", group=group, environment="RELEASE", api=f"{group}/apis/{name}",
            api_name=name, method="GET", path=f"/{name}/{{id}}", http=True, https=True, backend=backend,
            auth=self.pb.Auth(app=True, app_code=True, app_code_over_http=True) if number == 1 else None,
            release_number=1 + change, release_revision=1))

    def app(self, number):
        """The first may call; others another API."""
        name = f"app{number:07d}"
        route = 1 if number == 0 else 2 + number % 8
        return self.pb.Resource(app=self.pb.App(
            name=f"apps/{name}", display_name=name, app_code_digests=[hashlib.sha256(name.encode()).digest()],
            routes=[f"{self.group_of(route)}/apis/r{route:07d}@RELEASE"]))

    def everything(self, apis):
        yield from map(self.group, range(self.groups))
        yield from map(self.api, range(apis))


class Meter:
    """CPU of an agent's threads, in seconds, and its memory."""

    def __init__(self, agent):
        self.agent, self.sync = agent, None

    def threads(self):
        tasks = pathlib.Path(f"/proc/{self.agent.pid}/task")
        return {task.name: int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks.iterdir()}

    def all(self):
        return sum(self.threads().values())

    def find_sync(self, before):
        """The thread that compiled: nobody else had to do anything."""
        self.sync = max(now := self.threads(), key=lambda thread: now[thread] - before.get(thread, 0))
        return now[self.sync] - before[self.sync]

    def sync_seconds(self):
        return self.threads()[self.sync]

    def resident(self):
        status = pathlib.Path(f"/proc/{self.agent.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def settled(self):
        """Bytes, when the cache is written and what was there before is given back."""
        until(lambda: self.agent.metric("penstock_agent_cached_revision") == self.agent.metric("penstock_agent_revision"),
              "the cache to be written", seconds=120)
        until(self.rests, "the memory to rest", seconds=60)
        return self.resident()

    def rests(self):
        before = self.resident()
        time.sleep(0.3)
        return self.resident() == before


def not_idle():
    if os.geteuid() == 0:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def wrk(agent, seconds, path, *headers):
    """Requests, and the percentiles of their latency in ms."""
    words = ["wrk", "-t1", "-c4", f"-d{seconds}s", "--latency", "-H", f"Host: {HOST}"]
    for header in headers:
        words += ["-H", header]
    report = subprocess.run([*words, f"http://127.0.0.1:{agent.port}{path}"], capture_output=True, text=True, check=True,
                            preexec_fn=not_idle).stdout
    assert "Non-2xx" not in report and "Socket errors" not in report, report
    scale = {"us": 1e-3, "ms": 1, "s": 1000}
    taken = {percent: float(value) * scale[unit]
             for percent, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\b", report)}
    return int(re.search(r"(\d+) requests in", report).group(1)), taken


def at_full_load(agent, seconds, _folder):
    """p99 of requests in ms: each connection asks as soon as it is answered, so both cores are full."""
    return wrk(agent, seconds, "/r0000000/7")[1]["99"]


def at_a_rate(agent, seconds, folder):
    """p99 of requests in ms, of callers who ask so often, however long it takes; each from when it was sent."""
    log = folder / "latencies"
    log.unlink(missing_ok=True)  # h2load appends
    subprocess.run(["h2load", "--h1", "-t1", f"-c{CALLERS}", "-D", str(seconds), "--rps", str(RATE // CALLERS), f"--log-file={log}",
                    f"--connect-to=127.0.0.1:{agent.port}", f"http://{HOST}:{agent.port}/r0000000/7"],
                   check=True, capture_output=True, preexec_fn=not_idle)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert lines and all(status == "200" for _begun, status, _taken in lines), "not every request was answered"
    taken = sorted(int(microseconds) for _begun, _status, microseconds in lines)
    return taken[int(len(taken) * 0.99)] / 1000


def per_request(agent, meter, path, *headers):
    """Microseconds of the agent's CPU, the least of three rounds: others use the machine, too."""
    least = None
    for _ in range(3):
        before = meter.all()
        count, _taken = wrk(agent, 1, path, *headers)
        cost = (meter.all() - before) / count * 1e6
        least = cost if least is None else min(least, cost)
    return least


def changed(feed, world, number):
    """The messages of one change, of another API than those before."""
    return feed.pack([world.api(10 + (number * 7919) % (world.apis - 10), feed.revision)], False)


def changes(feed, world, count):
    """Milliseconds until each was acknowledged."""
    return [feed.send(changed(feed, world, number)) * 1000 for number in range(count)]


def send_at(feed, ready, pace):
    """Changes that were prepared before, so many a second; until the last is acknowledged."""
    begin = time.monotonic()
    for number, messages in enumerate(ready):
        time.sleep(max(0, begin + number / pace - time.monotonic()))
        for message in messages:
            feed.stream.put(message)
    feed.settle()


@contextlib.contextmanager
def giving_way():
    """This program stands for a control plane, which is another machine: it takes no CPU that the agent or the load want.
    Only root may take that back."""
    def schedule(policy):
        for thread in os.listdir("/proc/self/task") if os.geteuid() == 0 else ():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(int(thread), policy, os.sched_param(0))
    schedule(os.SCHED_IDLE)
    try:
        yield
    finally:
        schedule(os.SCHED_OTHER)


def tail(load, feed, agent, world, folder, options):
    """p99 of requests in ms, in turn: at rest, and while changes come."""
    rest, busy = [], []
    for _ in range(options.rounds):
        rest.append(load(agent, options.seconds, folder))
        ready = [changed(feed, world, number) for number in range(PACE * options.seconds)]
        with giving_way():
            done = futures.ThreadPoolExecutor(1).submit(send_at, feed, ready, PACE)
            busy.append(load(agent, options.seconds, folder))
            done.result()
    return rest, busy


def spread(figures):
    return f"{statistics.median(figures):.2f} ({min(figures):.2f}-{max(figures):.2f})"


def row(what, value, goal=""):
    print(f"  {what:<60}{value:>40}   {goal}", flush=True)


def measure_apis(feed, agent, world, folder, options):
    meter = Meter(agent)
    feed.send(feed.pack(world.everything(10), True))
    small, small_cost = meter.settled(), per_request(agent, meter, "/r0000000/7")
    messages, before = feed.pack(world.everything(world.apis), True), meter.threads()
    took = feed.send(messages)
    cpu = meter.find_sync(before)
    row("full snapshot: sent to acknowledged; CPU of the sync thread", f"{took:.2f} s; {cpu:.2f} s", "< 2 s")
    row("memory per API", f"{(meter.settled() - small) / (world.apis - 10):.0f} B", "<= 2048 B")
    row("CPU per request: 10 APIs; all", f"{small_cost:.1f} us; {per_request(agent, meter, '/r0000000/7'):.1f} us", "flat")
    before = meter.sync_seconds()
    taken = sorted(changes(feed, world, options.changes))
    meter.settled()
    cost = (meter.sync_seconds() - before) / options.changes * 1000
    row(f"one change, {options.changes} in turn: CPU of the sync thread, cache and all", f"{cost:.2f} ms", "< 5 ms")
    row("one change: sent to acknowledged, median; p99",
        f"{statistics.median(taken):.2f} ms; {taken[int(len(taken) * 0.99)]:.2f} ms")
    for load, what, goal in ((at_a_rate, f"{RATE:,} requests a second", "the same"), (at_full_load, "both cores full", "")):
        rest, busy = tail(load, feed, agent, world, folder, options)
        row(f"p99, {what}: at rest; with {PACE} changes a second", f"{spread(rest)}; {spread(busy)} ms", goal)
    return meter


def measure_apps(feed, agent, world, meter, options):
    code = "X-Apig-AppCode: app0000000"
    feed.tell(*map(world.app, range(10)))
    small, small_cost = meter.settled(), per_request(agent, meter, "/r0000001/7", code)
    messages, before = feed.pack(map(world.app, range(options.apps)), False), meter.sync_seconds()
    took = feed.send(messages, 300)
    row(f"{options.apps:,} apps more: sent to acknowledged; CPU of the sync thread",
        f"{took:.2f} s; {meter.sync_seconds() - before:.2f} s")
    row("memory per app", f"{(meter.settled() - small) / (options.apps - 10):.0f} B", "<= 256 B")
    row("CPU per request with an AppCode: 10 apps; all",
        f"{small_cost:.1f} us; {per_request(agent, meter, '/r0000001/7', code):.1f} us", "flat")
    before = meter.sync_seconds()
    for number in range(options.changes):
        app = world.app(10 + (number * 7919) % (options.apps - 10))
        app.app.display_name = f"changed {feed.revision}"
        feed.tell(app)
    meter.settled()
    row("one changed app: CPU of the sync thread, cache and all",
        f"{(meter.sync_seconds() - before) / options.changes * 1000:.2f} ms", "< 5 ms")


def measure_start(agent):
    agent.stop()
    begin = time.monotonic()
    agent.start()
    row("start from the disk, all of it, until it serves", f"{time.monotonic() - begin:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apis", type=int, default=100_000)
    parser.add_argument("--apps", type=int, default=1_000_000, help="0: none")
    parser.add_argument("--groups", type=int, nargs="*", default=[1, 1000], help="that the APIs are spread over, in turn")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of one round of load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        stubs = Stubs(folder)
        for groups in options.groups:
            feed = Feed(stubs)
            (folder / f"{groups}").mkdir()
            agent = Agent(folder / f"{groups}", feed, extra=("--access-log", "off", "--workers", "1"))
            world = World(feed.pb, options.apis, groups)
            print(f"{options.apis:,} APIs in {groups:,} group{'s' * (groups > 1)}, one worker", flush=True)
            try:
                agent.launch()
                until(lambda: feed.acked >= 0 and agent.is_running(), "the agent")
                meter = measure_apis(feed, agent, world, folder, options)
                if options.apps and groups == options.groups[-1]:
                    measure_apps(feed, agent, world, meter, options)
                measure_start(agent)
            finally:
                agent.stop()
                feed.stop()


if __name__ == "__main__":
    main()
