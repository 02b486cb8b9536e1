"""Agents with a scope: what they are told of, byte by byte, and who they may say that they are."""
import base64
import json
import pathlib
import queue
import subprocess
import threading

import grpc
import pytest
from lib.process import http_text
from lib.servers import Agent, ControlPlane
from lib.wait import until

METHOD = "/penstock.agent.v1.AgentService/Stream"
KINDS = ("group", "route", "channel", "policy", "app", "certificate", "ticket_keys", "settings")


def mock(text):
    return {"mock": {"body": base64.b64encode(text.encode()).decode()}}


class Listener:
    """An agent that keeps every byte of its stream."""

    def __init__(self, stubs, address, ca, cert, name, cluster_id="", revision=0):
        self.proto = stubs.module("penstock.agent.v1.agent")
        self.out, self.bytes, self.resources, self.cluster_id, self.revision = queue.Queue(), b"", {}, cluster_id, revision
        self.snapshots, self.error = 0, None
        hello = self.proto.Hello(agent_id=name, version="0", kinds=KINDS, cluster_id=cluster_id, revision=revision,
                                 takes_debug_calls=True)
        self.out.put(self.proto.AgentMessage(hello=hello))
        secure = grpc.ssl_channel_credentials(ca.read_bytes(), cert.key.read_bytes(), cert.cert.read_bytes())
        self.channel = grpc.secure_channel(address, secure, [("grpc.use_local_subchannel_pool", 1)])
        self.call = self.channel.stream_stream(METHOD, self.proto.AgentMessage.SerializeToString, bytes)(iter(self.out.get, None))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            for message in self.call:
                self.take(message)
        except grpc.RpcError as error:
            self.error = error

    def take(self, message):
        self.bytes += message
        update = self.proto.ControlMessage.FromString(message).update
        if update.base_revision == 0 and update.final:
            self.resources, self.snapshots = {}, self.snapshots + 1
        for resource in update.upserts:
            part = getattr(resource, resource.WhichOneof("kind"))
            self.resources[part.name] = part
        for key in update.removals:
            self.resources.pop(key.name, None)
        if update.final:
            self.cluster_id, self.revision = update.cluster_id, update.revision
            ack = self.proto.Ack(cluster_id=update.cluster_id, revision=update.revision)
            self.out.put(self.proto.AgentMessage(ack=ack))

    def stop(self):
        self.out.put(None)
        self.call.cancel()
        self.channel.close()


class Trusted:
    """A control plane with TLS whose credentials file says what agents get."""

    def __init__(self, start, folder, stubs, certificates):
        self.start, self.folder, self.stubs, self.authority, self.listeners = start, folder, stubs, certificates, []
        self.server, self.person = certificates.issue("cp"), certificates.issue("ann")
        self.file = folder / "credentials.json"
        self.agents(test={"environments": ["TEST"]}, live={"environments": ["RELEASE"]}, all={})
        self.controlplane = start(ControlPlane(folder, extra=(
            "--tls-cert-file", self.server.cert, "--tls-key-file", self.server.key, "--tls-client-ca-file", certificates.ca,
            "--credentials-file", self.file)))
        self.controlplane.flags = ("--ca", certificates.ca, "--cert", self.person.cert, "--key", self.person.key)
        self.ctl = self.controlplane.ctl

    def agents(self, **entries):
        text = json.dumps({"certificates": [{"name": "ann", "principal": "ann", "role": "administrator"}],
                           "agents": [{"name": name, **entry} for name, entry in entries.items()]})
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.file)

    def listen(self, certificate, name=None, **has):
        cert = self.authority.issue(certificate)
        self.listeners.append(Listener(self.stubs, self.controlplane.address, self.authority.ca, cert, name or certificate, **has))
        return self.listeners[-1]

    def agent(self, name):
        return next((agent for agent in self.controlplane.list("agents") if agent["name"] == f"agents/{name}"), {})

    def upload(self, name, host):
        made = self.authority.issue(host, f"DNS:{host}")
        self.controlplane.apply({"kind": "Certificate", "name": f"certificates/{name}", "certificatePem": made.cert.read_text(),
                                 "privateKeyPem": made.key.read_text()})
        return made.key.read_text()


@pytest.fixture
def trusted(start, tmp_path, stubs, certificates):
    made = Trusted(start, tmp_path, stubs, certificates)
    yield made
    for listener in made.listeners:
        listener.stop()


def api(name, backend):
    return {"kind": "Api", "name": name, "backend": backend, "authentication": {"type": "AUTH_TYPE_NONE"},
            "frontend": {"protocol": "PROTOCOL_HTTP", "method": "HTTP_METHOD_GET", "path": f"/{name.rpartition('/')[2]}"}}


@pytest.fixture
def shop(trusted):
    """One API in TEST, and one in RELEASE with all that an API may have, each in a group of its own."""
    trusted.keys = [trusted.upload("foreign-tls", "live.example.com"), trusted.upload("foreign-backend", "backend.example.com")]
    trusted.controlplane.apply(
        {"kind": "Environment", "name": "environments/TEST"},
        {"kind": "ApiGroup", "name": "groups/ours"}, {"kind": "ApiGroup", "name": "groups/foreign-group"},
        {"kind": "Domain", "name": "groups/foreign-group/domains/live.example.com", "certificates": ["certificates/foreign-tls"]},
        {"kind": "Channel", "name": "channels/foreign-channel", "port": 1, "members": [{"host": "foreign.example", "weight": 1}]},
        api("groups/ours/apis/a", mock("of ours")),
        api("groups/foreign-group/apis/foreign-api", {"http": {"scheme": "BACKEND_SCHEME_HTTPS", "channel": "channels/foreign-channel",
                                                               "path": "/", "certificate": "certificates/foreign-backend"}}))
    trusted.ctl("publish", "ours/a", "--env", "TEST")
    trusted.ctl("publish", "foreign-group/foreign-api", "--env", "RELEASE")
    return trusted


def test_no_byte_of_a_foreign_environment_is_on_the_stream(shop):
    everything = shop.listen("all")
    until(lambda: "certificates/foreign-backend" in everything.resources, "the agent without a scope to get all of it")
    ours = shop.listen("test")
    until(lambda: "groups/ours/apis/a@TEST" in ours.resources, "the agent of TEST to get its route")
    shop.ctl("publish", "ours/a", "--env", "RELEASE")
    shop.controlplane.apply(api("groups/ours/apis/a", mock("of ours, later")))
    assert "of 2 agents" in shop.ctl("publish", "ours/a", "--env", "TEST", "--wait").stdout
    until(lambda: b"of ours, later" in ours.bytes, "the change to come")
    secrets = [line.encode() for key in shop.keys for line in key.splitlines() if "-----" not in line]
    for word in (b"foreign", b"live.example.com", b"@RELEASE", *secrets):
        assert word not in ours.bytes
    assert all(word in everything.bytes for word in (b"foreign", b"live.example.com", b"@RELEASE", *secrets))
    assert sorted(ours.resources) == ["groups/ours", "groups/ours/apis/a@TEST", "ticketKeys"]


def test_foreign_changes_send_nothing_and_are_waited_for(shop):
    ours = shop.listen("test")
    until(lambda: ours.revision, "the agent of TEST to be served")
    before = len(ours.bytes)
    shop.controlplane.apply(api("groups/foreign-group/apis/foreign-api", mock("another")))
    said = shop.ctl("publish", "foreign-group/foreign-api", "--wait").stdout
    assert "1 of 1 agents" in said
    agent = shop.agent("test")
    assert agent["appliedRevision"] == agent["currentRevision"] and int(agent["appliedRevision"]) > ours.revision
    assert agent["environments"] == ["environments/TEST"] and agent["identity"] == "test"
    assert "penstock_controlplane_agents_lagging 0" in http_text(f"{shop.controlplane.ops}/metrics")
    assert len(ours.bytes) == before


def test_a_scope_that_changes_is_sent_whole(shop):
    ours = shop.listen("test")
    until(lambda: "groups/ours/apis/a@TEST" in ours.resources, "the agent of TEST to get its route")
    shop.agents(test={"environments": ["RELEASE"]}, all={})
    until(lambda: "groups/foreign-group/apis/foreign-api@RELEASE" in ours.resources, "the other scope to come")
    assert "groups/ours/apis/a@TEST" not in ours.resources and ours.snapshots == 2
    shop.agents(all={})
    until(lambda: ours.error, "the stream of who is no agent any more to end")
    assert ours.error.code() == grpc.StatusCode.PERMISSION_DENIED


def test_an_agent_comes_back_with_what_it_has(shop):
    ours = shop.listen("test")
    until(lambda: ours.revision, "the agent of TEST to be served")
    ours.stop()
    shop.controlplane.apply(api("groups/foreign-group/apis/foreign-api", mock("another")))
    shop.ctl("publish", "foreign-group/foreign-api")
    again = shop.listen("test", cluster_id=ours.cluster_id, revision=ours.revision)
    until(lambda: shop.agent("test").get("connected"), "it to be back")
    shop.controlplane.apply(api("groups/ours/apis/a", mock("later")))
    shop.ctl("publish", "ours/a", "--env", "TEST", "--wait")
    until(lambda: again.resources, "the change to come")
    assert again.snapshots == 0 and list(again.resources) == ["groups/ours/apis/a@TEST"]
    elsewhere = shop.listen("live", cluster_id=again.cluster_id, revision=again.revision)
    until(lambda: elsewhere.snapshots == 1, "the agent with another scope to get all of it")


def test_nobody_poses_as_another_agent(shop):
    good = shop.listen("live")
    until(lambda: shop.agent("live").get("connected"), "the agent to connect")
    impostor = shop.listen("test", name="live")
    until(lambda: impostor.error, "the impostor to be refused")
    assert impostor.error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert 'the certificate of "test" is not for an agent of the id live' in impostor.error.details()
    assert impostor.bytes == b"" and good.error is None


def test_debug_calls_of_drafts_do_not_go_to_agents_with_a_scope(shop):
    ours = shop.listen("test")
    until(lambda: ours.revision, "the agent of TEST to be served")
    before = len(ours.bytes)
    for words in (["--agent", "test"], []):
        done = shop.ctl("debug", "foreign-group/foreign-api", *words, check=False)
        assert done.returncode != 0 and "only some environments" in done.stderr + done.stdout
    assert len(ours.bytes) == before


def test_a_real_agent_serves_its_environment_alone(shop, start):
    edge = shop.authority.issue("test")
    agent = start(Agent(shop.folder, shop.controlplane, "test", extra=(
        "--controlplane-ca-file", shop.authority.ca, "--controlplane-cert-file", edge.cert, "--controlplane-key-file", edge.key)))
    shop.controlplane.apply({"kind": "Domain", "name": "groups/ours/domains/ours.example.com"})

    def cached():
        return b"".join(path.read_bytes() for path in pathlib.Path(shop.folder).glob("snapshot.penstock*"))
    until(lambda: b"groups/ours/apis/a@TEST" in cached() and b"ours.example.com" in cached(), "the agent to keep it")
    assert b"foreign" not in cached()
    answer = subprocess.run(["curl", "-s", "-H", "Host: ours.example.com", "-H", "X-Stage: TEST", f"http://127.0.0.1:{agent.port}/a"],
                            capture_output=True, text=True, timeout=20)
    assert answer.stdout == "of ours"
