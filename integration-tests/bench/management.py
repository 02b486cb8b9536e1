"""./dev bench management: what management calls take, and the control plane's memory, with 100,000 published APIs in 1,000 groups.

One group is made by Apply and PublishApis; the others are copies of what it left in the store, made past the API while the
control plane is stopped, for 100,000 publishes would take half an hour. Every call is that of a foreign client (python grpcio).
Prints a table, with the goals of it; judges nothing else.
"""
import argparse
import json
import pathlib
import signal
import statistics
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import grpc  # noqa: E402
import progress  # noqa: E402
from copies import copy_etcd, copy_sqlite  # noqa: E402
from lib.admin import Admin, Stubs  # noqa: E402
from lib.process import http_text  # noqa: E402
from lib.servers import ControlPlane, Etcd  # noqa: E402

MODEL = "g000000"
OF_LISTS, OF_WRITES, OF_LARGE, OF_STARTS = 40, 50, 3, 3  # calls that are measured
LIST_MS, PUBLISH_MS, IMPORT_MS, START_MS, KIB_EACH = 50, 100, 5000, 10000, 4
OPERATIONS = 300


class Table:
    def __init__(self, title):
        print(f"\n{title}\n{'':<44}{'median':>10}{'p99':>10}{'goal':>10}", flush=True)

    @staticmethod
    def row(what, median, p99, unit, goal=None):
        """Whether the goal is reached is said of the median: on a machine with other work the rest is that of others."""
        judged = f"{goal:>10g}  {'ok' if median < goal else 'NOT REACHED'}" if goal else ""
        progress.clear()
        print(f"{what:<44}{median:>10.1f}{p99:>10.1f}{judged or ' ':>10} {unit}".rstrip(), flush=True)

    def calls(self, what, count, call, goal=None):
        """call(n) for each n; in milliseconds. What is refused is told in the place of figures."""
        taken = []
        for n in range(count):
            progress.say(f"{what}: {n + 1} of {count}")
            begin = time.monotonic()
            try:
                call(n)
            except grpc.RpcError as error:
                progress.clear()
                print(f"{what:<44}{error.code().name}: {error.details()[:110]}", flush=True)
                return
            taken.append((time.monotonic() - begin) * 1000)
        taken.sort()
        self.row(what, statistics.median(taken), taken[int(len(taken) * 0.99)], "ms", goal)


def status_mib(pid, field):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def openapi(prefix):
    return json.dumps({"openapi": "3.0.3", "info": {"title": prefix, "version": "1"}, "paths": {
        f"/{prefix}/{n}/{{id}}": {"get": {
            "operationId": f"{prefix}_{n}", "summary": f"operation {n}", "tags": ["imported"],
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "responses": {"200": {"description": "ok"}}}} for n in range(OPERATIONS)}})


class Unread(Admin):
    """Answers stay bytes in measured calls: what python takes to make objects of them is not the control plane's."""

    def bytes_of(self, name, /, **fields):
        request, _ = self.method(name)
        path = f"/{self.stubs.methods[name].containing_service.full_name}/{name}"
        return self.channel.unary_unary(path)(request(**fields).SerializeToString(), timeout=120)


class Bench:
    def __init__(self, stubs, controlplane, options):
        self.controlplane, self.options = controlplane, options
        self.module = stubs.module
        channel = grpc.insecure_channel(controlplane.address, options=[("grpc.max_receive_message_length", 64 << 20)])
        self.admin = Unread(stubs, channel)

    # ---- what is called

    def draft(self, group, n, text="", **named):
        api, backend = self.module("penstock.admin.v1.api"), self.module("penstock.admin.v1.backend")
        name = {"name": f"groups/{group}/apis/a{n:04d}"} if named.pop("is_named", True) else {}
        return api.Api(**name, display_name=f"api-{n}", description=text or f"what is read of number {n}",
                       tags=[f"tag{n % 10}", "all"], labels=[{"key": "team", "value": f"team-{n % 7}"}],
                       frontend=api.Frontend(protocol="PROTOCOL_HTTP", method="HTTP_METHOD_GET", path=f"/{group}/{n}/{{id}}"),
                       backend=backend.Backend(http=backend.HttpBackend(address="backend.example.com:8080", path=f"/r/{n}/{{id}}")),
                       authentication=api.Authentication(type="AUTH_TYPE_APP", app_code=True))

    def bundle(self, group, numbers, text="", **more):
        bundle, groups = self.module("penstock.admin.v1.bundle"), self.module("penstock.admin.v1.api_group")
        resources = [bundle.BundleResource(group=groups.ApiGroup(name=f"groups/{group}"))]
        resources += [bundle.BundleResource(api=self.draft(group, n, text)) for n in numbers]
        return self.admin.Apply(resources=resources, **more)

    def make_model(self):
        self.bundle(MODEL, range(self.options.apis))
        answer = self.admin.PublishApis(parent=f"groups/{MODEL}")
        assert answer.failed == 0, answer

    def start(self):
        """Milliseconds until it is ready."""
        begin = time.monotonic()
        self.controlplane.launch()
        while True:
            try:
                urllib.request.urlopen(f"{self.controlplane.ops}/readyz", timeout=2).close()
                return (time.monotonic() - begin) * 1000
            except OSError:
                assert self.controlplane.is_running(), self.controlplane.tail()
                assert time.monotonic() - begin < 300, "not ready after 5 minutes"
                time.sleep(0.01)

    # ---- what is measured

    def starts(self, table):
        taken = []
        for n in range(OF_STARTS):
            progress.say(f"start: {n + 1} of {OF_STARTS}")
            self.controlplane.stop(60)
            taken.append(self.start())
        table.row("start until ready", statistics.median(taken), max(taken), "ms", START_MS)

    def tokens(self):
        """Of the middle, and of the last page of 50, of all groups; and how many pages of 1,000 there were."""
        found, token = [], ""
        while True:
            page = self.admin.ListApis(parent="groups/-", page_size=1000, page_token=token)
            if not page.next_page_token:
                break
            token = page.next_page_token
            found.append(token)
        last = token
        while page := self.admin.ListApis(parent="groups/-", page_size=50, page_token=last):
            if not page.next_page_token:
                return found[len(found) // 2] if found else "", last
            last = page.next_page_token
        return None

    def lists(self, table):
        begin = time.monotonic()
        progress.say("all APIs, by pages of 1,000")
        middle, last = self.tokens()
        took = (time.monotonic() - begin) * 1000
        table.row("all APIs, by pages of 1,000", took, took, "ms")
        for size in (50, 500):
            for word, token in (("first", ""), ("middle", middle), ("last", last)):
                table.calls(f"ListApis groups/-, {word} page of {size}", OF_LISTS, lambda _: self.admin.bytes_of(
                    "ListApis", parent="groups/-", page_size=size, page_token=token), LIST_MS)
        table.calls("ListApis of a group, 50", OF_LISTS, lambda n: self.admin.bytes_of("ListApis", parent=f"groups/{self.group(n)}"), LIST_MS)
        table.calls("... with a tag of one in ten", OF_LISTS, lambda n: self.admin.bytes_of(
            "ListApis", parent="groups/-", tags=["tag3"]), LIST_MS)
        table.calls("... with a tag of none", OF_LISTS, lambda n: self.admin.bytes_of("ListApis", parent="groups/-", tags=["none"]), LIST_MS)
        table.calls("ListApiGroups, 50", OF_LISTS, lambda _: self.admin.bytes_of("ListApiGroups"), LIST_MS)
        table.calls("... 1,000", OF_LISTS, lambda _: self.admin.bytes_of("ListApiGroups", page_size=1000))
        table.calls("ListReleases of an API", OF_LISTS, lambda n: self.admin.bytes_of(
            "ListReleases", parent=f"groups/{self.group(n)}/apis/a0001"), LIST_MS)
        table.calls("the same as JSON, groups/-, 50", OF_LISTS, lambda _: http_text(
            f"http://127.0.0.1:{self.controlplane.http_port}/v1/groups/-/apis?pageSize=50"), LIST_MS)
        table.calls("GetApi", OF_LISTS, lambda n: self.admin.bytes_of("GetApi", name=f"groups/{self.group(n)}/apis/a0001"), LIST_MS)

    def group(self, n):
        return f"g{n * 7919 % self.options.groups:06d}"

    def writes(self, table):
        table.calls("CreateApi", OF_WRITES, lambda n: self.admin.CreateApi(
            parent=f"groups/{self.group(n)}", api_id=f"b{n:04d}", api=self.draft(self.group(n), 5000 + n, is_named=False)))
        table.calls("PublishApi of a new one", OF_WRITES, lambda n: self.admin.PublishApi(
            name=f"groups/{self.group(n)}/apis/b{n:04d}"), PUBLISH_MS)
        table.calls("PublishApi again", OF_WRITES, lambda n: self.admin.PublishApi(
            name=f"groups/{self.group(n)}/apis/a0002"), PUBLISH_MS)
        table.calls("ImportOpenApi of 300 operations", OF_LARGE, lambda n: self.admin.ImportOpenApi(
            parent=f"groups/imported{n}", create_group=True, document=openapi(f"imported{n}")), IMPORT_MS)
        table.calls("Apply of 1,000 new", OF_LARGE, lambda n: self.bundle(f"applied{n}", range(999)))
        table.calls("... that are there, changed", OF_LARGE, lambda n: self.bundle(f"applied{n}", range(999), "changed"))
        table.calls("... unchanged", OF_LARGE, lambda n: self.bundle(f"applied{n}", range(999), "changed"))
        table.calls("... and a prune of nothing", OF_LARGE, lambda n: self.bundle(
            f"applied{n}", range(999), "changed", managed_by=f"nobody{n}", prune=True, validate_only=True))
        table.calls("Export of a group", OF_WRITES, lambda n: self.admin.bytes_of("Export", groups=[f"groups/{self.group(n)}"]))

    def export_all(self, table):
        def every_page(_):
            request, answer = {}, self.admin.Export()
            while token := getattr(answer, "next_page_token", ""):
                answer = self.admin.Export(**request, page_token=token)
        table.calls("Export of everything", 1, every_page)

    def memory(self, table, empty_mib, loaded_mib, size_mib):
        count = self.options.groups * self.options.apis
        each = (loaded_mib - empty_mib) * 1024 / count
        peak = status_mib(self.controlplane.pid, "VmHWM")
        table.row("control plane, resident after its start", loaded_mib, loaded_mib, f"MiB ({empty_mib:.1f} when empty)")
        table.row("... for each API", each, each, "KiB", KIB_EACH)
        table.row("... after all of this, and at most", status_mib(self.controlplane.pid, "VmRSS"), peak, "MiB")
        table.row("store, before the writes", size_mib, size_mib, "MiB")


def size_mib(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def run(stubs, kind, folder, options):
    etcd = Etcd(folder, extra=("--quota-backend-bytes", str(8 << 30))) if kind == "etcd" else None
    controlplane = ControlPlane(folder, etcd and etcd.store)
    table = Table(f"{kind}, {options.groups:,} groups of {options.apis} published APIs")
    try:
        if etcd:
            etcd.start()
        bench = Bench(stubs, controlplane, options)
        bench.start()
        bench.make_model()
        empty_mib = status_mib(controlplane.pid, "VmRSS")
        controlplane.stop(60)
        if etcd:
            copy_etcd(etcd, MODEL, options.groups, progress.say)
        else:
            copy_sqlite(folder / "controlplane.db", MODEL, options.groups, progress.say)
        store_mib = size_mib(folder / "etcd.data" if etcd else folder)
        bench.start()
        bench.starts(table)
        loaded_mib = status_mib(controlplane.pid, "VmRSS")
        bench.lists(table)
        bench.writes(table)
        bench.export_all(table)
        bench.memory(table, empty_mib, loaded_mib, store_mib)
        bench.admin.close()
    finally:
        controlplane.stop(60)
        if etcd:
            etcd.stop(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--apis", type=int, default=100, help="of each group")
    parser.add_argument("--store", nargs="*", choices=("sqlite", "etcd"), default=("sqlite", "etcd"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and what it started ends, too
    with tempfile.TemporaryDirectory() as name:
        (pathlib.Path(name) / "stubs").mkdir()
        stubs = Stubs(pathlib.Path(name) / "stubs")
        for kind in options.store:
            folder = pathlib.Path(name) / kind
            folder.mkdir()
            run(stubs, kind, folder, options)


if __name__ == "__main__":
    main()
