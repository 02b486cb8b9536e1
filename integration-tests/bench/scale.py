"""Memory of an idle agent, and how long one change takes, with many APIs. Prints; judges nothing.

The APIs are copies of one that was published, put into etcd past the API, for 10,000 publishes would take minutes.
"""
import argparse
import base64
import json
import pathlib
import re
import statistics
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.gateway import Gateway  # noqa: E402
from lib.servers import Agent, ControlPlane, Etcd  # noqa: E402

MODEL = "r0000000"
OPERATIONS = 100  # of one transaction; etcd takes 128


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


def encode(data):
    return base64.b64encode(data).decode()


def copy(etcd, first, last):
    """Copies of the model with the numbers first to last - 1."""
    stored = [(base64.b64decode(kv["key"]), base64.b64decode(kv.get("value", "")))
              for kv in json.loads(etcd.ctl("get", "--prefix", "/penstock/v1/", "-w", "json"))["kvs"]]
    model = [(key, value) for key, value in stored if MODEL.encode() in key]
    puts = []
    for number in range(first, last):
        name = f"r{number:07d}".encode()
        puts += [{"requestPut": {"key": encode(key.replace(MODEL.encode(), name)),
                                 "value": encode(value.replace(MODEL.encode(), name))}} for key, value in model]
    for at in range(0, len(puts), OPERATIONS):
        body = json.dumps({"success": puts[at:at + OPERATIONS]}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{etcd.url}/v3/kv/txn", body)).close()


def publish(gateway, backend):
    """Milliseconds until the agent has acknowledged it."""
    said = gateway.publish(gateway.api(f"scale/{MODEL}", f"/{MODEL}", backend={"http": {"address": backend}}))
    return float(re.search(r"in ([\d.]+) ms", said).group(1))


def measure(gateway, etcd, options):
    agent, controlplane, done = gateway.agent, gateway.controlplane, 1
    gateway.group("scale")
    publish(gateway, "127.0.0.1:1")
    for count in options.apis:
        copy(etcd, done, count)
        done = count
        gateway.settle()
        agent.stop()
        for file in agent.folder.glob("snapshot.penstock*"):
            file.unlink()
        begin = time.monotonic()
        agent.start()
        full_ms = (time.monotonic() - begin) * 1000
        gateway.settle()
        taken = [publish(gateway, f"127.0.0.1:{number + 2}") for number in range(options.changes)]
        print(f"{count:6d} APIs: agent {resident_mib(agent.pid):.1f} MiB, control plane {resident_mib(controlplane.pid):.1f}"
              f" MiB; empty agent ready in {full_ms:.0f} ms; one change acknowledged in {statistics.median(taken):.0f} ms"
              f" (median, {min(taken):.0f} to {max(taken):.0f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apis", type=int, nargs="*", default=[1000, 10000])
    parser.add_argument("--changes", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        etcd = Etcd(folder)
        controlplane = ControlPlane(folder, etcd.store, extra=("--group-apis-max", "0", "--groups-max", "0"))
        agent = Agent(folder, controlplane, extra=("--access-log", "off"))
        try:
            for process in (etcd, controlplane, agent):
                process.start()
            measure(Gateway(controlplane, agent, None), etcd, options)
        finally:
            for process in (agent, controlplane, etcd):
                process.stop()


if __name__ == "__main__":
    main()
