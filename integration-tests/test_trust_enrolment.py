"""Agents that get their certificates from the control plane: by a token once, then by themselves."""
import datetime
import json
import stat
import subprocess

import grpc
import pytest

from lib.admin import Admin
from lib.certificates import Authority
from lib.process import http_text
from lib.servers import Agent, ControlPlane, Nowhere
from lib.wait import until

SERVICE = "/penstock.agent.v1.AgentService"


class Enrolling:
    def __init__(self, start, folder, stubs, certificates, *extra):
        self.start, self.folder, self.stubs, self.authority = start, folder, stubs, certificates
        self.server, self.person = certificates.issue("cp"), certificates.issue("ann")
        file = folder / "credentials.json"
        file.write_text(json.dumps({"certificates": [{"name": "ann", "principal": "ann", "role": "administrator"}]}))
        self.controlplane = start(ControlPlane(folder, extra=(
            "--tls-cert-file", self.server.cert, "--tls-key-file", self.server.key, "--tls-client-ca-file", certificates.ca,
            "--credentials-file", file, *extra)))
        self.controlplane.flags = ("--ca", certificates.ca, "--cert", self.person.cert, "--key", self.person.key)
        self.tokens = 0
        self.proto, self.channels = stubs.module("penstock.agent.v1.agent"), []

    def token(self, agent, **more):
        self.tokens += 1
        made = {"kind": "Enrolment", "name": f"enrolments/enrolment-{self.tokens}", "agent": agent, **more}
        done = self.controlplane.ctl("create", "-f", "-", "-o", "json", stdin=json.dumps(made))
        made = json.loads(done.stdout)
        return (made[0] if isinstance(made, list) else made)["token"]

    def request(self, name="edge", key=None):
        """A key and a request for a certificate, by openssl."""
        key = key or self.folder / f"{name}-{len(list(self.folder.iterdir()))}.key"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
                       check=True, capture_output=True, timeout=30)
        done = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}"],
                              check=True, capture_output=True, timeout=30)
        return key, done.stdout.decode()

    def channel(self, cert=None, key=None):
        pair = (key, cert) if cert else (None, None)
        secure = grpc.ssl_channel_credentials(self.authority.ca.read_bytes(), *pair)
        self.channels.append(grpc.secure_channel(self.controlplane.address, secure, [("grpc.use_local_subchannel_pool", 1)]))
        return self.channels[-1]

    def call(self, method, message, **who):
        """The certificate, or the code and what was said."""
        run = self.channel(**who).unary_unary(f"{SERVICE}/{method}", type(message).SerializeToString, self.proto.EnrolResponse.FromString)
        try:
            return run(message, timeout=20).certificate_pem.encode()
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def enrol(self, token, agent="edge", request=None):
        return self.call("Enrol", self.proto.EnrolRequest(token=token, agent_id=agent,
                                                          certificate_request_pem=request or self.request(agent)[1]))

    def agent(self, token, name="edge", extra=()):
        file = self.folder / f"{name}.token"
        file.write_text(token + "\n")
        cache = self.folder / f"{name}.cache"
        made = Agent(self.folder, self.controlplane, name, extra=(
            "--controlplane-ca-file", self.authority.ca, "--enrolment-token-file", file, "--cache-dir", cache, *extra))
        made.identity, made.token = cache / "identity.pem", file
        return made

    def shown(self, name="edge"):
        return next((agent for agent in self.controlplane.list("agents") if agent["name"] == f"agents/{name}"), {})

    def connected(self, name="edge"):
        return self.shown(name).get("connected")


@pytest.fixture
def enrolling(start, tmp_path, stubs, certificates):
    made = Enrolling(start, tmp_path, stubs, certificates)
    yield made
    for channel in made.channels:
        channel.close()


REFUSED = ("PERMISSION_DENIED", "the enrolment is refused")


def test_an_agent_comes_in_by_a_token(enrolling, start):
    token = enrolling.token("edge", environments=["environments/RELEASE"])
    agent = start(enrolling.agent(token))
    until(enrolling.connected, "the agent to connect")
    shown = enrolling.shown()
    assert shown["identity"] == "penstock://agents/edge" and shown["environments"] == ["environments/RELEASE"]
    left = datetime.datetime.fromisoformat(shown["certificateExpireTime"].replace("Z", "+00:00")) - datetime.datetime.now(datetime.timezone.utc)
    assert 29 < left.total_seconds() / 86400 <= 30
    assert stat.S_IMODE(agent.identity.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in agent.identity.read_text()
    assert token not in agent.log.read_text() + enrolling.controlplane.log.read_text()
    assert agent.metric("penstock_agent_controlplane_certificate_expiry_timestamp_seconds") > 1e9
    metrics = http_text(f"{enrolling.controlplane.ops}/metrics")
    assert "penstock_controlplane_agents_enrolled 1\n" in metrics
    assert token.split(".")[1] not in enrolling.controlplane.ctl("get", "enrolments", "-o", "json").stdout


def test_it_comes_back_without_the_token(enrolling, start):
    agent = start(enrolling.agent(enrolling.token("edge")))
    until(enrolling.connected, "the agent to connect")
    assert agent.stop() == 0
    until(lambda: not enrolling.connected(), "the agent to leave")
    enrolling.controlplane.stop()
    enrolling.controlplane.start()
    agent.start()
    until(enrolling.connected, "the agent to come back")
    assert "enrolled" not in agent.tail(3)


def test_who_comes_in_is_told_to_watches(enrolling, stubs):
    channel = enrolling.channel(enrolling.person.cert.read_bytes(), enrolling.person.key.read_bytes())
    messages = stubs.module("penstock.admin.v1.watch")
    call = channel.unary_stream("/penstock.admin.v1.WatchService/Watch", messages.WatchRequest.SerializeToString,
                                messages.WatchResponse.FromString)
    answers = call(messages.WatchRequest(kinds=["enrolments", "agentIdentities"]), timeout=60)
    next(answers)
    token = enrolling.token("edge", uses=2)
    enrolling.enrol(token)
    Admin(stubs, channel).DeleteAgentIdentity(name="agentIdentities/edge")
    told = []
    while len(told) < 4:
        told += next(answers).events
    types = messages.ResourceEventType
    assert sorted((types.Name(event.type).rsplit("_", 1)[1], event.name) for event in told) == [
        ("CREATED", "agentIdentities/edge"), ("CREATED", "enrolments/enrolment-1"), ("DELETED", "agentIdentities/edge"),
        ("UPDATED", "enrolments/enrolment-1")]
    made = next(event.enrolment for event in told if event.enrolment.name and event.type == types.RESOURCE_EVENT_TYPE_CREATED)
    assert made.agent == "edge" and not made.token and not made.token_digest
    assert next(event.agent_identity for event in told if event.agent_identity.name).enrolment == "enrolments/enrolment-1"
    answers.cancel()


def test_certificates_of_agents_are_in_the_audit_trail(enrolling, stubs):
    token = enrolling.token("edge")
    key, request = enrolling.request("edge")
    certificate = enrolling.folder / "edge.pem"
    certificate.write_bytes(enrolling.enrol(token, request=request))
    assert enrolling.enrol("nobodys.token", agent="thief") == REFUSED
    renewal = enrolling.proto.RenewRequest(certificate_request_pem=request)
    assert b"BEGIN CERTIFICATE" in enrolling.call("Renew", renewal, cert=certificate.read_bytes(), key=key.read_bytes())
    admin = Admin(stubs, enrolling.channel(enrolling.person.cert.read_bytes(), enrolling.person.key.read_bytes()))
    events = [event for event in admin.ListAuditEvents().audit_events if "AgentService" in event.method]
    told = [(event.method.rsplit("/", 1)[1], event.principal, event.resource, event.code) for event in events]
    assert sorted(told) == [
        ("Enrol", "agents/edge", "agentIdentities/edge", 0),
        ("Enrol", "anonymous", "agentIdentities/thief", 7),
        ("Renew", "agents/edge", "agentIdentities/edge", 0)]
    assert all(event.source_address == "127.0.0.1" for event in events)
    enrolled = next(event for event in events if event.method.endswith("Enrol") and event.principal == "agents/edge")
    assert {change.resource for change in enrolled.changes} == {"agentIdentities/edge", "enrolments/enrolment-1"}
    everything = str(events)
    assert token.split(".")[1] not in everything and "nobodys.token" not in everything
    assert "CERTIFICATE REQUEST" not in everything  # whoever has shown nothing would fill the store with them


def test_a_trial_of_a_change_of_an_identity_changes_nothing(enrolling, stubs):
    assert b"BEGIN CERTIFICATE" in enrolling.enrol(enrolling.token("edge"))
    admin = Admin(stubs, enrolling.channel(enrolling.person.cert.read_bytes(), enrolling.person.key.read_bytes()))
    before = admin.GetAgentIdentity(name="agentIdentities/edge")
    told = admin.UpdateAgentIdentity(agent_identity={"name": before.name, "environments": ["environments/RELEASE"]}, validate_only=True)
    assert told.environments == ["environments/RELEASE"]
    admin.DeleteAgentIdentity(name=before.name, validate_only=True)
    assert admin.GetAgentIdentity(name=before.name) == before


def test_a_token_is_good_once_for_its_agent_and_its_time(enrolling):
    once = enrolling.token("edge")
    assert enrolling.enrol(once, agent="other") == REFUSED
    assert b"BEGIN CERTIFICATE" in enrolling.enrol(once)
    assert enrolling.enrol(once) == REFUSED
    revoked = enrolling.token("edge")
    enrolling.controlplane.ctl("delete", "enrolment", revoked.split(".")[0])
    assert enrolling.enrol(revoked) == REFUSED
    wrong = enrolling.token("edge")
    assert enrolling.enrol(wrong[:-1] + ("a" if wrong[-1] != "a" else "b")) == REFUSED
    assert enrolling.enrol("nothing") == REFUSED and enrolling.enrol("") == REFUSED


def test_a_token_for_several_replaces_nobody(enrolling):
    many = enrolling.token("edge-*", uses=3)
    assert b"BEGIN CERTIFICATE" in enrolling.enrol(many, "edge-1")
    assert enrolling.enrol(many, "edge-1") == REFUSED
    assert enrolling.enrol(many, "hub-1") == REFUSED
    assert b"BEGIN CERTIFICATE" in enrolling.enrol(many, "edge-2")
    assert b"BEGIN CERTIFICATE" in enrolling.enrol(many, "edge-3")
    assert enrolling.enrol(many, "edge-4") == REFUSED


def test_who_guesses_is_not_looked_at_for_a_while(enrolling):
    good = enrolling.token("edge")
    for _ in range(10):
        assert enrolling.enrol("enrolment.guess") == REFUSED
    assert enrolling.enrol(good)[0] == "RESOURCE_EXHAUSTED"


def test_nobody_gets_a_certificate_of_another_name(enrolling):
    token = enrolling.token("edge")
    for request in (enrolling.request("admin")[1], "no request"):
        code, said = enrolling.enrol(token, request=request)
        assert code == "INVALID_ARGUMENT" and "certificate_request_pem" in said or "must be" in said
    assert b"BEGIN CERTIFICATE" in enrolling.enrol(token)


def test_a_certificate_is_renewed_by_itself_alone(enrolling):
    key, request = enrolling.request()
    first = enrolling.enrol(enrolling.token("edge"), request=request)
    who = {"cert": first, "key": key.read_bytes()}
    renew = enrolling.proto.RenewRequest(certificate_request_pem=enrolling.request()[1])
    assert enrolling.call("Renew", renew)[0] == "PERMISSION_DENIED"
    assert enrolling.call("Renew", renew, cert=enrolling.person.cert.read_bytes(), key=enrolling.person.key.read_bytes())[0] == "PERMISSION_DENIED"
    assert b"BEGIN CERTIFICATE" in enrolling.call("Renew", renew, **who)
    other = enrolling.proto.RenewRequest(certificate_request_pem=enrolling.request("hub")[1])
    assert enrolling.call("Renew", other, **who)[0] == "INVALID_ARGUMENT"
    enrolling.controlplane.ctl("delete", "agent-identity", "edge")
    assert enrolling.call("Renew", renew, **who)[0] == "PERMISSION_DENIED"


def test_who_is_revoked_is_out_at_once_and_until_it_is_enrolled_again(enrolling, start):
    agent = start(enrolling.agent(enrolling.token("edge")))
    until(enrolling.connected, "the agent to connect")
    enrolling.controlplane.ctl("delete", "agent-identity", "edge")
    until(lambda: not enrolling.connected(), "its stream to end")
    until(lambda: "is not enrolled" in agent.log.read_text(), "it to be refused")
    fresh = agent.token.with_suffix(".new")
    fresh.write_text(enrolling.token("edge"))
    fresh.rename(agent.token)
    until(enrolling.connected, "the agent to come back by another token")


def test_a_scope_of_an_enrolled_agent_changes_live(enrolling, start):
    start(enrolling.agent(enrolling.token("edge")))
    until(enrolling.connected, "the agent to connect")
    enrolling.controlplane.apply({"kind": "Environment", "name": "environments/TEST"})
    identity = enrolling.controlplane.get("agent-identity", "edge")
    done = subprocess.run(["curl", "-s", "--cacert", enrolling.authority.ca, "--cert", enrolling.person.cert, "--key",
                           enrolling.person.key, "-X", "PATCH", "-H", "Content-Type: application/json", "-d",
                           json.dumps({"environments": ["environments/TEST"]}),
                           f"https://127.0.0.1:{enrolling.controlplane.http_port}/v1/{identity['name']}?updateMask=environments"],
                          capture_output=True, text=True, timeout=20)
    assert "environments/TEST" in done.stdout, done.stdout + done.stderr
    until(lambda: enrolling.shown().get("environments") == ["environments/TEST"], "the scope to change")


def test_certificates_are_renewed_without_a_new_stream(start, tmp_path, stubs, certificates):
    enrolling = Enrolling(start, tmp_path, stubs, certificates, "--agent-certificate-life", "12s")
    agent = start(enrolling.agent(enrolling.token("edge")))
    until(enrolling.connected, "the agent to connect")
    first, since = agent.identity.read_bytes(), enrolling.shown()["connectTime"]
    until(lambda: agent.identity.read_bytes() != first, "the certificate to be renewed")
    assert enrolling.connected() and enrolling.shown()["connectTime"] == since
    assert len(enrolling.controlplane.get("agent-identity", "edge")["certificates"]) >= 2


def test_a_token_goes_with_the_options_that_it_needs(tmp_path, start):
    for extra, words in ((("--enrolment-token-file", "t"), "--controlplane-ca-file and --cache-dir"),
                         (("--enrolment-token-file", "t", "--controlplane-cert-file", "c", "--controlplane-key-file", "k",
                           "--controlplane-ca-file", "a"), "in the place of")):
        agent = Agent(tmp_path, Nowhere(), "edge", extra=extra)
        done = subprocess.run([*map(str, agent.command)], capture_output=True, text=True, timeout=20)
        assert done.returncode != 0 and words in done.stderr


def test_authorities_are_rotated_without_ending_a_stream(enrolling, start, tmp_path):
    other, both = Authority(tmp_path, "other"), tmp_path / "both.pem"
    both.write_bytes(enrolling.authority.ca.read_bytes())
    agent = start(enrolling.agent(enrolling.token("edge"), extra=("--controlplane-ca-file", both)))
    until(enrolling.connected, "the agent to connect")
    since = enrolling.shown()["connectTime"]
    both.write_bytes(enrolling.authority.ca.read_bytes() + other.ca.read_bytes())
    other.issue("cp", cert=enrolling.server)
    enrolling.controlplane.flags = ("--ca", other.ca, *enrolling.controlplane.flags[2:])
    until(lambda: enrolling.controlplane.ctl("get", "agents", check=False).returncode == 0, "the new certificate to be shown")
    assert enrolling.connected() and enrolling.shown()["connectTime"] == since
    assert agent.stop() == 0
    until(lambda: not enrolling.connected(), "the agent to leave")
    agent.start()
    until(enrolling.connected, "the agent to verify the other authority")
