#!/usr/bin/python3
"""Records what the agent and the control plane of a release say to each other, for test_skew.py:

    integration-tests/skew/record.py BIN integration-tests/skew/NAME.json

BIN has the programs of that release. Between them stands a proxy that reads nothing of what it passes on."""
import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
from concurrent import futures

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import lib.process  # noqa: E402
lib.process.BIN = pathlib.Path(sys.argv[1]).resolve()
import lib.servers  # noqa: E402
lib.servers.BIN = lib.process.BIN
from lib.gateway import Gateway  # noqa: E402
from lib.servers import Agent, ControlPlane, Nowhere  # noqa: E402
from lib.wait import until  # noqa: E402

METHOD = "Stream"
SERVICE = "penstock.agent.v1.AgentService"


class Proxy:
    def __init__(self, controlplane):
        self.said = {"agent": [], "controlplane": []}
        self.port = lib.process.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.channel = grpc.insecure_channel(controlplane.address)
        self.call = self.channel.stream_stream(f"/{SERVICE}/{METHOD}")  # bytes as they are
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            SERVICE, {METHOD: grpc.stream_stream_rpc_method_handler(self.stream)}),))
        self.server.add_insecure_port(self.address)
        self.server.start()

    def note(self, who, messages):
        for message in messages:
            self.said[who].append(base64.b64encode(message).decode())
            yield message

    def stream(self, messages, _context):
        yield from self.note("controlplane", self.call(self.note("agent", messages)))


def fit(process):
    """Without the options that this release does not have yet."""
    known = subprocess.run([process.command[0], "--help"], capture_output=True, text=True, check=True).stdout
    words = process.command[1:]
    process.command = process.command[:1] + [
        word for flag, value in zip(words[::2], words[1::2]) if flag in known for word in (flag, value)]
    return process


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        controlplane = fit(ControlPlane(folder)).start()
        proxy = Proxy(controlplane)
        agent = fit(Agent(folder, Nowhere(proxy.address)))
        gateway = Gateway(controlplane, agent, None)
        try:
            gateway.group("g")
            mock = {"mock": {"status": 200, "body": base64.b64encode(b"recorded").decode()}}
            controlplane.ctl("publish", gateway.api("g/a", backend=mock))
            controlplane.apply({"kind": "App", "name": "apps/shop"},
                               {"kind": "Channel", "name": "channels/pool", "port": 80, "members": [{"host": "127.0.0.1", "weight": 1}]})
            gateway.publish(gateway.api("g/b", "/b", backend={"http": {"channel": "channels/pool"}}))
            agent.start()
            until(lambda: gateway.call().status == 200, "the agent to serve")
            gateway.bind("here", "g/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["127.0.0.1"]})
            gateway.bind("limit", "g/a", throttle={"apiLimit": "1000"})
            gateway.settle()
            gateway.call()
            seen = len(proxy.said["agent"])
            until(lambda: len(proxy.said["agent"]) > seen, "statistics")
        finally:
            agent.stop()
            controlplane.stop()
            proxy.server.stop(0)
        pathlib.Path(sys.argv[2]).write_text(json.dumps(proxy.said, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
