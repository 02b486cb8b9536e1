"""./dev test --chaos [SECONDS] [--seed N]: a cluster under load, a nemesis, and a judge of what was seen.

Ends with 0 when nothing speaks against any check of history.py. What happened is in build/chaos: history.jsonl, timeline.svg
to look at, and the log of every program."""
import argparse
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from chaos import history, machines, timeline  # noqa: E402
from chaos.cluster import OPS_PORT, PORT, Cluster  # noqa: E402
from chaos.nemesis import Nemesis  # noqa: E402
from chaos.writers import Pairs, Planes, Publisher, Unanswered, set_up  # noqa: E402
from lib.admin import Stubs  # noqa: E402
from lib.process import ROOT  # noqa: E402
from lib.wait import until  # noqa: E402

KEYS = 6
CALM = (1.0, 4.0)  # seconds between faults
RECOVERY = 30.0  # seconds after which, with everything put right, a publish must be served by every agent


class Record:
    """Events from all sides, in the order in which they came; thread-safe."""

    def __init__(self, path):
        self.file, self.lock, self.events = open(path, "w", encoding="utf8"), threading.Lock(), []
        self.served, self.acknowledged = {}, []  # by agent, the newest version of each key; publishes

    def say(self, kind, **fields):
        with self.lock:
            self.events.append({"kind": kind, **fields})
            self.file.write(json.dumps(self.events[-1]) + "\n")
            if kind == "read":
                self.served.setdefault(fields["agent"], {})[fields["key"]] = fields["version"]
            elif kind == "publish" and fields["outcome"] == "ok":
                self.acknowledged.append(fields)

    def count(self, kind, **fields):
        with self.lock:
            return sum(event["kind"] == kind and all(event[name] == value for name, value in fields.items())
                       for event in self.events)

    def is_served(self, since):
        """Whether every agent serves something that was published, and acknowledged, since then."""
        with self.lock:
            recent = [each for each in self.acknowledged[-100:] if each["t"] > since]
            return any(all(each.get(publish["key"], 0) >= publish["version"] for each in self.served.values()) for publish in recent)


class Reader:
    """reader.py beside an agent; its lines become events."""

    def __init__(self, agent, record):
        words = [*agent.machine.enter, sys.executable, pathlib.Path(__file__).with_name("reader.py"), agent.name, agent.listen,
                 PORT, OPS_PORT, KEYS]
        self.popen = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.pump, args=(record,), daemon=True)
        self.thread.start()

    def pump(self, record):
        for line in self.popen.stdout:
            record.say(**json.loads(line))

    def stop(self):
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(90)
        except subprocess.TimeoutExpired:
            self.popen.kill()
        self.thread.join(10)


class Chaos:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.record, self.stopping, self.began = Record(folder / "history.jsonl"), threading.Event(), time.monotonic()
        self.complaints, self.slowest, self.programs = [], 0.0, []

    def tell(self, words):
        print(f"{time.monotonic() - self.began:7.1f} s  {words}", file=sys.stderr, flush=True)

    def run(self):
        network = machines.Switch() if self.options.can_cut else machines.Loopback()
        cluster = Cluster(network, self.folder)
        self.programs = list(cluster.programs)
        planes = [Planes(cluster, self.stubs()) for _ in range(4)]
        readers = []
        try:
            self.tell("etcd, control planes and agents start")
            cluster.start()
            set_up(planes[0], [f"k{number}" for number in range(KEYS)])
            readers = [Reader(agent, self.record) for agent in cluster.agents]
            until(lambda: [len(each) for each in self.record.served.values()] == [KEYS] * len(cluster.agents), "all agents to serve", 60)
            self.torment(cluster, planes)
        finally:
            self.stopping.set()
            for reader in readers:
                reader.stop()
            self.complaints += [f"{each.name} died by itself" for each in cluster.programs.values() if each.has_died()]
            self.complaints += cluster.stop()
            for each in planes:
                each.close()
            network.close()

    def stubs(self):
        folder = self.folder / "stubs"
        folder.mkdir(exist_ok=True)
        return Stubs(folder)

    def torment(self, cluster, planes):
        chance = random.Random(self.options.seed)
        nemesis = Nemesis(cluster, chance, self.record.say)
        keys = [f"k{number}" for number in range(KEYS)]
        writers = [Publisher(planes[0], keys[::2], self.stopping, self.record.say, 0.15),
                   Publisher(planes[1], keys[1::2], self.stopping, self.record.say, 0.15),
                   Pairs(planes[2], self.stopping, 0.2)]
        for writer in writers:
            writer.start()
        self.began = time.monotonic()
        end = self.began + self.options.seconds
        while time.monotonic() < end and not self.complaints:
            time.sleep(chance.uniform(*CALM))
            try:
                what = nemesis.strike(time.sleep)
            except AssertionError as error:  # a program did not end, or did not upgrade
                self.complaints.append(str(error))
                break
            self.recover(what)
            self.complaints += [f"{each.name} died by itself" for each in cluster.programs.values() if each.has_died()]
            self.complaints += [f"{type(each).__name__} ended" for each in writers if not each.is_alive()]
        self.stopping.set()
        for writer in writers:
            writer.join(30)
        self.settle(cluster)

    def recover(self, what):
        """With everything put right: until something that was published from now on is served by every agent."""
        began = time.monotonic()
        try:
            until(lambda: self.record.is_served(began), "a publish to be served by every agent", RECOVERY)
        except AssertionError as error:
            self.complaints.append(f"after {what}: {error}")
            return
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        record = self.record
        self.tell(f"{what:42}  served everywhere {took:4.1f} s after; publishes {record.count('publish', outcome='ok')}, "
                  f"unanswered {record.count('publish', outcome='unknown')}")

    def settle(self, cluster):
        """Until every agent serves what was acknowledged."""
        def is_settled():
            with self.record.lock:
                events = list(self.record.events)
            return not history.lost(events)
        try:
            until(is_settled, "everything acknowledged to be served", RECOVERY)
        except AssertionError:
            pass  # the judge says which

    def report(self):
        events = self.record.events
        self.record.file.close()
        found = dict(history.violations(events), **{"programs live, and recover": self.complaints})
        counts = {kind: self.record.count(kind) for kind in ("fault", "publish", "revision", "failure")}
        requests = sum(event["count"] for event in events if event["kind"] == "requests")
        print(f"\n{counts['fault']} faults, {counts['publish']} publishes ({self.record.count('publish', outcome='ok')} acknowledged), "
              f"{requests} requests, "
              f"which failed {counts['failure']} times for a while; slowest recovery {self.slowest:.1f} s")
        for check, each in found.items():
            print(f"  {'ok' if not each else 'FAILED':7} {check}")
            for line in each[:10]:
                print(f"          {line}")
        lines = [line for each in found.values() for line in each]
        (self.folder / "timeline.svg").write_text(timeline.svg(events, ["publish", *self.programs], lines[:20]))
        return not lines and counts["publish"] > 0


def options():
    parser = argparse.ArgumentParser(prog="./dev test --chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("seconds", type=int, nargs="?", default=600, help="how long faults come (600)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the faults: the same one, the same faults in the same order")
    return parser.parse_args()


def main():
    chosen = options()
    if "--seed" not in sys.argv:
        sys.argv += ["--seed", str(chosen.seed)]
    chosen.can_cut = machines.enter_own_network()
    folder = ROOT / "build/chaos"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"seed {chosen.seed}, {chosen.seconds} s, logs and history in {folder}", file=sys.stderr)
    if not chosen.can_cut:
        print("network namespaces are not allowed here: nothing is cut off, programs are killed and paused only", file=sys.stderr)
    chaos = Chaos(chosen, folder)
    try:
        chaos.run()
    except KeyboardInterrupt:
        chaos.complaints.append("interrupted")
    good = chaos.report()
    print(f"\n{'passed' if good else 'FAILED'} with seed {chosen.seed}; look at {folder}/timeline.svg")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
