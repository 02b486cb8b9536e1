"""Agents and control planes of other versions: those of before by the bytes that they sent (skew/, recorded), those of
later by what they may send. What is not understood is kept or refused, visibly and alone."""
import base64
import json
import pathlib
import queue
import threading
from concurrent import futures

import grpc
import pytest

from lib import http1
from lib.process import free_port, http_text
from lib.servers import Agent, Nowhere
from lib.wait import until

FOLDER = pathlib.Path(__file__).parent / "skew"
STREAM = "/penstock.agent.v1.AgentService/Stream"
RECORDED = sorted(FOLDER.glob("*.json"))


def recorded(path):
    said = json.loads(path.read_text())
    return {who: [base64.b64decode(message) for message in messages] for who, messages in said.items()}


def mock(text):
    return {"mock": {"body": base64.b64encode(text.encode()).decode()}}


class RawAgent:
    """Says bytes to a control plane, and keeps the messages that it hears."""

    def __init__(self, pb, controlplane):
        self.pb, self.heard, self.to_say, self.ended = pb, [], queue.Queue(), None
        self.channel = grpc.insecure_channel(controlplane.address)
        self.call = self.channel.stream_stream(STREAM)(iter(self.to_say.get, None))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            for message in self.call:
                self.heard.append(self.pb.ControlMessage.FromString(message))
        except grpc.RpcError as error:
            self.ended = error

    def say(self, message):
        self.to_say.put(message if isinstance(message, bytes) else message.SerializeToString())

    def resources(self):
        found = {}
        for message in list(self.heard):
            for resource in message.update.upserts:
                kind = resource.WhichOneof("kind")
                found[getattr(resource, kind).name] = resource
        return found

    def acknowledge(self):
        last = until(lambda: next((m.update for m in reversed(self.heard) if m.update.final), None), "an update")
        self.say(self.pb.AgentMessage(ack=self.pb.Ack(cluster_id=last.cluster_id, revision=last.revision)))
        return last.revision

    def close(self):
        self.to_say.put(None)
        self.channel.close()


class RawControlPlane:
    """Says bytes to whoever comes, and keeps the agents' messages."""

    def __init__(self, pb, messages):
        self.pb, self.heard, self.messages, self.done = pb, [], messages, threading.Event()
        self.address = f"127.0.0.1:{free_port()}"
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        handler = grpc.stream_stream_rpc_method_handler(self.stream)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "penstock.agent.v1.AgentService", {"Stream": handler}),))
        self.server.add_insecure_port(self.address)
        self.server.start()

    def stream(self, messages, _context):
        def listen():
            try:
                for message in messages:
                    self.heard.append(self.pb.AgentMessage.FromString(message))
            except grpc.RpcError:
                pass
        threading.Thread(target=listen, daemon=True).start()
        yield from self.messages
        self.done.wait()

    def acks(self):
        return [message.ack for message in list(self.heard) if message.HasField("ack")]

    def stop(self):
        self.done.set()
        self.server.stop(0)


@pytest.fixture
def pb(stubs):
    return stubs.module("penstock.agent.v1.agent")


def refusals_of(controlplane, agent):
    found = [found for found in controlplane.list("agents") if found["name"] == f"agents/{agent}"]
    return {refusal["resource"]: refusal["reason"] for refusal in (found[0].get("refusals", []) if found else [])}


def metric(controlplane, name):
    return next(float(line.split()[1]) for line in http_text(f"{controlplane.ops}/metrics").splitlines()
                if line.startswith(name + " "))


# ---- those of before


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_an_agent_of_before_is_served_and_what_it_does_not_know_is_refused_for_it(gateway, pb, path):
    """An app's addresses came later: it would let the app in from anywhere."""
    controlplane = gateway.controlplane
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    controlplane.apply({"kind": "App", "name": "apps/plain"},
                       {"kind": "App", "name": "apps/guarded",
                        "ipAccess": {"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["10.0.0.1"]}},
                       {"kind": "Settings", "name": "settings", "requestBodyMaxBytes": "1048576"})
    gateway.settle()
    said = recorded(path)["agent"]
    hello = pb.AgentMessage.FromString(said[0]).hello
    hello.agent_id = "before"  # beside the one that is there
    old = RawAgent(pb, controlplane)
    try:
        old.say(pb.AgentMessage(hello=hello))
        until(lambda: "apps/plain" in old.resources(), "a snapshot")
        for message in said[1:]:
            old.say(message)  # acknowledgements of another cluster, statistics
        old.acknowledge()
        until(lambda: refusals_of(controlplane, "before"), "the refusals to show")
        assert "groups/g/apis/a@RELEASE" in old.resources()
        assert not {"apps/guarded", "settings"} & set(old.resources())
        refused = refusals_of(controlplane, "before")
        assert "App.ip_access" in refused["apps/guarded"] and "settings" in refused["settings"], refused
        assert metric(controlplane, "penstock_controlplane_agents_refusals") == 2
        assert not refusals_of(controlplane, "agent")  # the other one knows all of it
        controlplane.apply({"kind": "App", "name": "apps/guarded", "ipAccess": None})
        until(lambda: "apps/guarded" in old.resources(), "what it knows by now to be sent")
        old.acknowledge()
        until(lambda: "apps/guarded" not in refusals_of(controlplane, "before"), "the refusal to go")
        assert old.ended is None
    finally:
        old.close()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_a_control_plane_of_before_said_is_served(start, tmp_path, pb, path):
    old = RawControlPlane(pb, recorded(path)["controlplane"])
    try:
        agent = start(Agent(tmp_path, old))
        last = [message.update for message in map(pb.ControlMessage.FromString, old.messages) if message.update.final][-1]
        until(lambda: old.acks() and old.acks()[-1].revision == last.revision, "its last update to be applied")
        assert not old.acks()[-1].refusals
        answer = http1.request(agent.port, "/", "g.example.com")
        assert (answer.status, answer.body) == (200, b"recorded")
    finally:
        old.stop()


# ---- those of later


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
    return out + bytes([value])


def field(number, content):
    """Of a message: bytes with a length, or a number."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def update_with(pb, *resources):
    """resources: packed."""
    head = pb.Update(cluster_id="c", revision=7, final=True).SerializeToString()
    return field(1, head + b"".join(field(4, resource) for resource in resources))


def test_an_agent_refuses_what_is_newer_than_itself_alone_and_keeps_it(start, tmp_path, pb):
    group = pb.Resource(group=pb.Group(name="groups/g", domains=["g.example.com"])).SerializeToString()

    def route(name, **more):
        return pb.Route(name=f"groups/g/apis/{name}@RELEASE", group="groups/g", environment="RELEASE",
                        api=f"groups/g/apis/{name}", method="GET", path=f"/{name}", http=True,
                        backend=pb.Backend(mock=pb.MockBackend(status=200, body=b"x")), **more)
    resources = [
        group,
        field(2, route("good").SerializeToString() + field(1001, b"for people")),   # may be passed over
        field(2, route("newer").SerializeToString() + field(900, 1)),
        field(2, route("uses", policies=["policies/new"]).SerializeToString()),
        field(4, field(1, b"policies/new") + field(77, b"")),                        # a kind of policy
        field(4, field(1, b"policies/value") + field(4, field(1, field(1, b"X-A") + field(3, 99)))),  # of an enumeration
        field(5, field(1, b"apps/deep") + field(6, field(1, 1) + field(9, 1))),      # within ip_access
        field(99, field(1, b"things/one")),                                          # a kind of resource
    ]
    later = RawControlPlane(pb, [field(50, b"what an agent may pass over"), update_with(pb, *resources)])
    agent = Agent(tmp_path, later)
    try:
        start(agent)
        ack = until(lambda: next((ack for ack in later.acks() if ack.revision == 7), None), "the update to be applied")
        refused = {refusal.resource.name: refusal.reason for refusal in ack.refusals}
        assert set(refused) == {"groups/g/apis/newer@RELEASE", "groups/g/apis/uses@RELEASE", "policies/new",
                                "policies/value", "apps/deep"}, refused
        for name in ("groups/g/apis/newer@RELEASE", "policies/new", "policies/value", "apps/deep"):
            assert "not known to this version of the agent" in refused[name], refused
        assert "900" in refused["groups/g/apis/newer@RELEASE"] and "99" in refused["policies/value"]
        assert agent.metric("penstock_agent_refused_resources") == len(refused)
        assert http1.request(agent.port, "/good", "g.example.com").status == 200
        assert http1.request(agent.port, "/newer", "g.example.com").status == 404
        # What it could not understand stays on its disk as it came, and is refused again: a later agent can.
        later.heard.clear()
        agent.stop()
        agent.start()
        again = until(lambda: next(iter(later.acks()), None), "the agent to come back")
        assert {refusal.resource.name for refusal in again.refusals} == set(refused)
    finally:
        if agent.is_running():
            agent.stop()
        later.stop()


def test_an_agent_of_later_is_served(gateway, pb):
    controlplane = gateway.controlplane
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    hello = pb.Hello(agent_id="later", version="9.9.9", kinds=["group", "route", "app", "hologram"], refuses_unknown=True)
    later = RawAgent(pb, controlplane)
    try:
        later.say(field(1, hello.SerializeToString() + field(300, b"more") + field(301, 5)))
        until(lambda: "groups/g/apis/a@RELEASE" in later.resources(), "a snapshot")
        later.say(field(70, b"a kind of message"))
        revision = later.acknowledge()
        until(lambda: any(found["name"] == "agents/later" and int(found.get("appliedRevision", 0)) >= revision
                          for found in controlplane.list("agents")), "the acknowledgement")
        assert later.ended is None
    finally:
        later.close()
