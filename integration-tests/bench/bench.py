"""./dev bench: CPU per request of the agent, a null relay and the peers, interleaved in the same minutes.

CPU is user and system time of all processes of a contender, from /proc. The contender runs alone on the first core; the
load and the backend (nginx) on the second. Absolute figures drift on a shared machine: compare the ratios. README.md
says what each workload is, and what is expected.
"""
import argparse
import os
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import memory  # noqa: E402
import progress  # noqa: E402
from lib.admin import Stubs  # noqa: E402
from lib.certificates import Authority  # noqa: E402
from lib.servers import Nginx  # noqa: E402
from load import one_round  # noqa: E402
from ours import Ours  # noqa: E402
from peers import HOST, PEERS  # noqa: E402
from processes import cpu_seconds, pin  # noqa: E402
from workloads import Work, workloads  # noqa: E402

BODIES = {"10k": 10 * 1024, "100k": 100 * 1024, "10m": 10 * 1024 * 1024}


def backend_of(folder):
    """Small answers from memory, large ones from files."""
    backend = Nginx(folder, server=f"""sendfile on; tcp_nopush on;
        location = / {{ return 200 "{'x' * 200}"; }} location / {{ }}""")
    for name, size in BODIES.items():
        (folder / "nginx" / name).write_bytes(b"x" * size)
    folder.chmod(0o755)  # nginx's worker is nobody
    (folder / "nginx").chmod(0o755)
    backend.start()
    pin(backend, 1)
    return backend


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        (folder / "stubs").mkdir()
        self.stubs = Stubs(folder / "stubs")
        authority = Authority(folder)
        self.certificates = {kind: authority.issue(HOST, f"DNS:{HOST}", kind=kind) for kind in ("ec", "rsa:2048")}
        for made in self.certificates.values():
            made.key.chmod(0o644)
        self.backend = backend_of(folder)

    def contenders(self, work):
        certificate = self.certificates[work.key]
        started = []
        try:
            for peer in PEERS:
                if peer.does(work) and (not self.options.peer or peer.title in self.options.peer):
                    started.append(peer(self.folder, self.backend, work, certificate).start())
                    started[-1].wait()
            started.append(Ours(self.folder, self.backend, work, certificate, self.stubs))
            for contender in started:
                pin(contender, 0)
        except BaseException:
            self.stop(started)
            raise
        return started

    @staticmethod
    def stop(contenders):
        for contender in contenders:
            contender.stop(30) if not isinstance(contender, Ours) else contender.stop()

    def rounds(self, contenders, work):
        """CPU us and rate of each contender in each round."""
        figures = {contender: [] for contender in contenders}
        for number in range(self.options.rounds):
            for contender in contenders:
                progress.say(f"{work.name}: round {number + 1} of {self.options.rounds}, {contender.title}")
                before = cpu_seconds(contender)
                count = one_round(contender, work, self.options.seconds, self.folder)
                figures[contender].append(((cpu_seconds(contender) - before) * 1e6 / count, count / self.options.seconds))
        progress.end()
        return figures

    def run(self, work):
        contenders = self.contenders(work)
        try:
            print_table(work, self.rounds(contenders, work))
        finally:
            self.stop(contenders)

    def memory(self):
        for name, tls, count in (("idle", "", self.options.idle), ("idle-tls", "1.3", self.options.idle // 5)):
            work = Work(name, "", tls=tls)
            contenders = self.contenders(work)
            try:
                memory.measure(contenders, work, count)
            finally:
                self.stop(contenders)


    def soak(self):
        work = Work("soak", "", full=True, log=True)
        ours = Ours(self.folder, self.backend, work, self.certificates["ec"], self.stubs)
        try:
            pin(ours, 0)
            memory.soak(ours, work, self.options.soak, self.folder)
        finally:
            ours.stop()


def print_table(work, figures):
    """Ratios are to the first contender in the same round: the null relay where it can do the work."""
    unit = "handshake" if work.handshakes else "request"
    first = next(iter(figures))
    megabytes = f"{'MB/CPU s':>10}" if work.body > 200 else ""
    print(f"\n{work.name}: {work.title}; {1 if work.handshakes else work.connections} connections, ratio to {first.title}")
    print(f"{'':<14}{'us/' + unit:>13}{'ratio':>8}{'min':>7}{'max':>7}{unit + 's/s':>14}{megabytes}")
    for contender, rounds in figures.items():
        ratios = [cost / base for (cost, _), (base, _) in zip(rounds, figures[first])]
        cost = statistics.median(cost for cost, _ in rounds)
        megabytes = f"{work.body / cost:>10.0f}" if work.body > 200 else ""
        print(f"{contender.title:<14}{cost:>13.1f}{statistics.median(ratios):>8.2f}{min(ratios):>7.2f}{max(ratios):>7.2f}"
              f"{statistics.median(rate for _, rate in rounds):>14.0f}{megabytes}", flush=True)


def print_host():
    """What figures depend on that is not ours: a host that paces (bbr) sends large bodies at another price."""
    control = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    print(f"Linux {os.uname().release}, {os.cpu_count()} CPUs, TCP congestion control {control}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of load for each contender and round")
    parser.add_argument("--routes", type=int, default=10000, help="further routes of routes and full")
    parser.add_argument("--idle", type=int, default=10000, help="idle connections of the memory table; a fifth of them with TLS")
    parser.add_argument("--soak", type=int, default=1_000_000, help="requests of the soak")
    parser.add_argument("--only", action="append", metavar="WORKLOAD", help="may be repeated; default: all")
    parser.add_argument("--peer", action="append", help="only these beside penstock; default: all that are installed")
    options = parser.parse_args()
    works = workloads(options.routes)
    names = [work.name for work in works] + ["memory", "soak"]
    wanted = options.only or names
    if unknown := set(wanted) - set(names):
        parser.error(f"no workload {', '.join(unknown)}; there are: {', '.join(names)}")
    peers = [peer.title for peer in PEERS] + [Ours.title]
    if unknown := set(options.peer or ()) - set(peers):
        parser.error(f"no contender {', '.join(unknown)}; there are: {', '.join(peers)}")
    print_host()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        bench = Bench(pathlib.Path(name), options)
        try:
            for work in works:
                if work.name in wanted:
                    bench.run(work)
            if "memory" in wanted:
                bench.memory()
            if "soak" in wanted:
                bench.soak()
        finally:
            bench.backend.stop()


if __name__ == "__main__":
    main()
