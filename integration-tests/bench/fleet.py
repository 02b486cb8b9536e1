"""./dev bench fleet: a thousand agents on one control plane. Prints what a change, a cold start, slow agents and a
restart cost beside what is wanted; judges nothing.

The control plane runs on the first core, everything else (the agents in one process, etcd, this program) on the second.
The agents are bench/fleet.c: the agents' protocol without their tables. APIs are put into etcd past the API.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import grpc  # noqa: E402

from lib.admin import Admin, Stubs  # noqa: E402
from lib.certificates import Authority  # noqa: E402
from lib.fleet import Fleet  # noqa: E402
from lib.process import http_text  # noqa: E402
from lib.servers import ControlPlane, Etcd  # noqa: E402
from lib.wait import until  # noqa: E402
from processes import cpu_seconds, pin  # noqa: E402
from scale import MODEL, copy, resident_mib  # noqa: E402


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def row(what, figure, goal=""):
    print(f"{what:<66}{figure:>22}  {goal}", flush=True)


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.etcd = Etcd(folder)
        extra = ["--group-apis-max", "0", "--groups-max", "0", *options.extra]
        self.tls = {}
        if options.tls:
            authority = Authority(folder)
            server, client = authority.issue("127.0.0.1", "IP:127.0.0.1"), authority.issue("fleet", "DNS:fleet")
            self.tls = {"ca": authority.ca, "cert": client.cert, "key": client.key}
            extra += ["--tls-cert-file", server.cert, "--tls-key-file", server.key, "--tls-client-ca-file", authority.ca]
        self.controlplane = ControlPlane(folder, self.etcd.store, extra=tuple(extra))
        (folder / "stubs").mkdir()
        self.stubs = Stubs(folder / "stubs")
        self.fleet = None

    def start(self):
        self.etcd.start()
        self.controlplane.start()
        self.pin()

    def pin(self):
        pin(self.etcd, 1)
        pin(self.controlplane, 0)
        subprocess.run(["taskset", "-acp", "1", str(os.getpid())], check=True, stdout=subprocess.DEVNULL)

    def admin(self):
        if not self.tls:
            return Admin(self.stubs, grpc.insecure_channel(self.controlplane.address))
        read = {name: pathlib.Path(file).read_bytes() for name, file in self.tls.items()}
        return Admin(self.stubs, grpc.secure_channel(self.controlplane.address, grpc.ssl_channel_credentials(
            read["ca"], read["key"], read["cert"])))

    def metric(self, name):
        text = http_text(f"{self.controlplane.ops}/metrics")
        found = re.search(rf"^penstock_controlplane_{re.escape(name)} (.*)$", text, re.M)
        return float(found.group(1)) if found else float("nan")

    def buckets(self, step):
        """Of a histogram of the control plane: how many were at most so many seconds."""
        text = http_text(f"{self.controlplane.ops}/metrics")
        found = re.findall(rf'^penstock_controlplane_config_{step}_seconds_bucket{{le="(.*)"}} (\d+)$', text, re.M)
        return {float(bound): int(count) for bound, count in found}

    def print_steps(self, before):
        """The bound below which 99 in 100 are, of each step since then."""
        texts = []
        for step, old in before.items():
            new = {bound: count - old[bound] for bound, count in self.buckets(step).items()}
            total = max(new.values())
            bound = next((bound for bound, count in sorted(new.items()) if total and count >= 0.99 * total), float("nan"))
            texts.append(f"{step} {bound * 1000:g}")
        print(f"  p99 of each step is at most, ms, as the control plane counts: {', '.join(texts)}", flush=True)

    def peak_mib(self):
        """The highest since it was asked last."""
        pid = self.controlplane.pid
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        return peak

    def fill(self):
        api, backend = self.stubs.module("penstock.admin.v1.api"), self.stubs.module("penstock.admin.v1.backend")
        self.api = api.Api(name=f"groups/scale/apis/{MODEL}", frontend=api.Frontend(
            protocol="PROTOCOL_HTTP", method="HTTP_METHOD_GET", path=f"/{MODEL}"),
            backend=backend.Backend(http=backend.HttpBackend(address="127.0.0.1:1")),
            authentication=api.Authentication(type="AUTH_TYPE_NONE"))
        admin = self.admin()
        admin.CreateApiGroup(group_id="scale")
        self.api = admin.CreateApi(parent="groups/scale", api_id=MODEL, api=self.api)
        admin.PublishApi(name=self.api.name)
        admin.close()
        copy(self.etcd, 1, self.options.apis)
        until(lambda: self.metric("image_resources") > self.options.apis, "the image", 60)

    def publish(self, admin, number):
        """The revision, and when the call began and ended."""
        self.api.backend.http.address = f"127.0.0.1:{number % 60000 + 2}"
        self.api = admin.UpdateApi(api=self.api, update_mask={"paths": ["backend"]})
        began = time.monotonic_ns()
        answer = admin.PublishApi(name=self.api.name)
        return int(answer.release.etag.strip(chr(34))), began, time.monotonic_ns()

    def cold_start(self):
        self.peak_mib()
        before, cpu = resident_mib(self.controlplane.pid), cpu_seconds(self.controlplane)
        self.fleet = Fleet(self.controlplane, self.options.agents, **self.tls).start()
        pin(self.fleet, 1)
        self.fleet.wait(1, seconds=300)
        taken = (max(ack[4] for ack in self.fleet.acks) - self.fleet.began_ns) / 1e9
        size = self.fleet.acks[0][2] / 1024 / 1024
        row(f"cold start of {self.options.agents} at once, {self.options.apis} APIs ({size:.1f} MiB each)", f"{taken:.1f} s", "< 60 s")
        row("  CPU of the control plane", f"{cpu_seconds(self.controlplane) - cpu:.1f} s")
        row("  snapshots sent, bytes of packed updates in memory",
            f"{self.metric('snapshots_sent_total'):.0f}, {self.metric('updates_held_bytes') / 1024 / 1024:.1f} MiB")
        row("  its memory before, at most, after",
            f"{before:.0f}, {self.peak_mib():.0f}, {resident_mib(self.controlplane.pid):.0f} MiB")
        row("  for each agent that is connected and idle",
            f"{(resident_mib(self.controlplane.pid) - before) / self.options.agents * 1024:.0f} KiB")

    def publishes(self, what, count):
        admin = self.admin()
        self.publish(admin, 0)
        steps = {step: self.buckets(step) for step in ("watch", "build", "send", "acknowledge", "serve")}
        calls, cpu = [], cpu_seconds(self.controlplane)
        for number in range(count):
            revision, began, ended = self.publish(admin, number + 1)
            calls.append((revision, began, ended))
            self.fleet.wait(revision, seconds=60)
        cpu = cpu_seconds(self.controlplane) - cpu
        admin.close()
        by_revision = {}
        for revision, _, _, _, at in self.fleet.acks:
            by_revision.setdefault(revision, []).append(at)
        each, last = [], []
        for revision, began, _ in calls:
            taken = [(at - began) / 1e6 for at in by_revision.get(revision, ())]
            each += taken
            last.append(max(taken, default=float("nan")))
        row(f"{what}: {count} publishes, call to acknowledgement, p50 / p99",
            f"{percentile(each, 0.5):.1f} / {percentile(each, 0.99):.1f} ms", "p99 < 100 ms")
        row("  until the last of them, median / worst", f"{statistics.median(last):.1f} / {max(last):.1f} ms")
        row("  the call itself, median", f"{statistics.median((e - b) / 1e6 for _, b, e in calls):.1f} ms")
        row("  CPU of the control plane for each publish", f"{cpu / count * 1000:.0f} ms")
        self.print_steps(steps)

    def restart(self):
        self.fleet.acks.clear()
        self.controlplane.stop(30)
        until(lambda: not self.fleet.open, "all to notice", 30)
        began = time.monotonic()
        self.controlplane.start()
        pin(self.controlplane, 0)
        self.fleet.wait_open(seconds=60)
        taken = time.monotonic() - began
        admin = self.admin()
        revision, _, _ = self.publish(admin, 50000)
        admin.close()
        self.fleet.wait(revision, seconds=60)
        full = sum(base == 0 for _, base, _, _, _ in self.fleet.acks)
        row(f"restart: all {self.options.agents} are back after its start in", f"{taken:.1f} s")
        row("  full snapshots sent for it", str(full), "0")

    def slow(self):
        """A tenth of the fleet is slow in each of three ways."""
        self.fleet.stop()
        until(lambda: self.metric("agents_connected") == 0, "all to leave", 60)
        tenth = self.options.agents // 10
        self.peak_mib()
        self.fleet = Fleet(self.controlplane, self.options.agents, slow_read=tenth, never_ack=tenth, never_read=tenth,
                           **self.tls).start()
        pin(self.fleet, 1)
        self.fleet.wait(1, seconds=300)
        row(f"with {tenth} that read slowly, {tenth} that never acknowledge, {tenth} that never read:", "")
        taken = (max(ack[4] for ack in self.fleet.acks) - self.fleet.began_ns) / 1e9
        row("  cold start of the others", f"{taken:.1f} s", "< 60 s")
        self.publishes("  the others", self.options.publishes // 2)
        row("  memory of the control plane at most", f"{self.peak_mib():.0f} MiB")
        row("  slow agents dropped so far: stalled, outrun, for the memory", ", ".join(
            f"{self.metric(f'agents_{why}_total'):.0f}" for why in ("stalled", "outrun", "unloaded")))
        row("  bytes of packed updates in memory", f"{self.metric('updates_held_bytes') / 1024 / 1024:.1f} MiB")

    def stop(self):
        if self.fleet:
            self.fleet.stop()
        self.controlplane.stop()
        self.etcd.stop()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench fleet", description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--apis", type=int, default=10000)
    parser.add_argument("--publishes", type=int, default=40)
    parser.add_argument("--tls", action="store_true", help="mutual TLS on the agents' streams")
    parser.add_argument("--only", action="append", choices=("publish", "restart", "slow"), help="default: all")
    parser.add_argument("extra", nargs="*", help="options of the control plane, behind --")
    options = parser.parse_args()
    wanted = options.only or ["publish", "restart", "slow"]
    with tempfile.TemporaryDirectory(prefix="penstock-fleet-") as name:
        bench = Bench(pathlib.Path(name), options)
        try:
            bench.start()
            bench.fill()
            bench.cold_start()
            if "publish" in wanted:
                bench.publishes("a change", options.publishes)
            if "restart" in wanted:
                bench.restart()
            if "slow" in wanted:
                bench.slow()
        finally:
            bench.stop()


if __name__ == "__main__":
    main()
