"""Faults of the store, of the control plane and of what is stored, seen from a caller."""
import base64
import contextlib
import json
import random
import re
import shutil
import signal
import socket
import threading

import pytest

from lib import http1
from lib.certificates import Authority
from lib.gateway import Gateway
from lib.load import Load
from lib.process import http_text
from lib.servers import Agent, ControlPlane, Etcd, Nginx, Nowhere
from lib.wait import until


CODE = "c0de" * 20


def mock(text):
    return {"mock": {"body": base64.b64encode(text.encode()).decode()}}


@pytest.fixture
def cluster(start, tmp_path, echo):
    """Control plane on etcd, one agent, one published API."""
    return make_cluster(start, tmp_path, echo, start(Etcd(tmp_path)))


def make_cluster(start, tmp_path, echo, etcd, extra=()):
    controlplane = start(ControlPlane(tmp_path, etcd.store, extra=("--etcd-timeout", "1s", *extra)))
    agent = start(Agent(tmp_path, controlplane))
    gateway = Gateway(controlplane, agent, echo)
    gateway.etcd = etcd
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    return gateway


def second_controlplane(cluster, start, tmp_path):
    return start(ControlPlane(tmp_path, cluster.etcd.store, "controlplane2"))


# ---- control planes


def test_agents_move_over_when_their_control_plane_is_killed(cluster, start, tmp_path):
    first, second = cluster.controlplane, second_controlplane(cluster, start, tmp_path)
    cluster.agent.stop()
    cluster.agent = start(Agent(tmp_path, Nowhere(f"{first.address},{second.address}"), "both"))
    until(lambda: first.list("agents")[-1].get("connected"), "the agent to be at the first")
    load = Load(cluster, 30, connections=2)
    first.kill()
    until(lambda: any(agent.get("connected") for agent in second.list("agents")), "the agent to be at the second")
    cluster.controlplane = second
    cluster.publish(cluster.api("g/a", backend=mock("two")))
    assert cluster.call().body == b"two"
    assert load.is_running()
    load.end()


def test_a_change_at_one_control_plane_reaches_agents_of_the_other(cluster, start, tmp_path):
    second = second_controlplane(cluster, start, tmp_path)
    here, there = cluster.agent, start(Agent(tmp_path, second, "there"))
    cluster.api("g/a", backend=mock("two"))
    second.ctl("publish", "g/a")
    for cluster.agent in (here, there):
        until(lambda: cluster.call().body == b"two", "the change to arrive")


def test_more_connections_than_files_shut_nobody_out(start, tmp_path, echo):
    """The gRPC core of Debian 12 would never accept again."""
    controlplane = ControlPlane(tmp_path)
    controlplane.command = ["prlimit", "--nofile=128:128", *controlplane.command]
    gateway = Gateway(start(controlplane), start(Agent(tmp_path, controlplane)), echo)
    with contextlib.ExitStack() as crowd:
        for _ in range(200):
            crowd.enter_context(socket.create_connection(("127.0.0.1", controlplane.port)))
        until(lambda: refused_connections(controlplane) >= 100, "those beyond to be refused")
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    start(Agent(tmp_path, controlplane, "late"))
    assert gateway.agent.metric("penstock_agent_controlplane_connects_total") == 1  # who was there stayed


def refused_connections(controlplane):
    return float(re.search(r"^penstock_controlplane_connections_refused_total (\d+)", http_text(f"{controlplane.ops}/metrics"), re.M)[1])


# ---- etcd


def test_a_write_while_etcd_is_silent_is_refused_and_later_succeeds(cluster):
    cluster.etcd.signal(signal.SIGSTOP)
    refused = cluster.controlplane.ctl("publish", "g/a", check=False)
    assert refused.returncode == 5, refused.stderr
    assert cluster.call().body == b"one"
    cluster.etcd.signal(signal.SIGCONT)
    cluster.api("g/a", backend=mock("two"))
    until(lambda: cluster.controlplane.ctl("publish", "g/a", "--wait", check=False).returncode == 0, "a publish")
    assert cluster.call().body == b"two"


def test_a_compaction_past_the_watch_lists_the_store_again(cluster, start, tmp_path):
    second = second_controlplane(cluster, start, tmp_path)
    cluster.publish(cluster.api("g/gone", "/gone", backend=mock("gone")))
    cluster.controlplane.signal(signal.SIGSTOP)
    first, cluster.controlplane = cluster.controlplane, second
    second.ctl("unpublish", "g/gone")
    cluster.api("g/a", backend=mock("two"))
    second.ctl("publish", "g/a")
    cluster.etcd.compact()
    cluster.etcd.kill()
    cluster.etcd.start()
    first.signal(signal.SIGCONT)
    until(lambda: cluster.call().body == b"two", "the change to arrive", 40)
    assert cluster.call("/gone").status == 404


def test_a_restored_store_brings_every_agent_to_its_state(cluster, start, tmp_path):
    cluster.publish(cluster.api("g/new", "/new", backend=mock("new")))
    cluster.etcd.stop()
    other = start(Etcd(tmp_path, "other"))
    away = Gateway(start(ControlPlane(tmp_path, other.store, "restoring")), cluster.agent, None)
    away.group("g")
    away.controlplane.ctl("publish", away.api("g/a", backend=mock("restored")))
    away.controlplane.stop()
    other.stop()
    cluster.etcd.take_over(other)
    cluster.etcd.start()
    until(lambda: cluster.call().body == b"restored", "the restored state to arrive", 40)
    assert cluster.call("/new").status == 404
    cluster.publish(cluster.api("g/a", backend=mock("after")))
    assert cluster.call().body == b"after"


def test_a_backup_of_the_same_cluster_takes_agents_back(cluster, tmp_path):
    backup, data = tmp_path / "backup", tmp_path / "etcd.data"
    cluster.etcd.stop()
    shutil.copytree(data, backup)
    cluster.etcd.start()
    cluster.publish(cluster.api("g/new", "/new", backend=mock("new")))
    cluster.publish(cluster.api("g/a", backend=mock("two")))
    assert cluster.call().body == b"two"
    cluster.etcd.kill()
    shutil.rmtree(data)
    backup.rename(data)
    cluster.etcd.start()
    until(lambda: cluster.call().body == b"one", "the backup's state to arrive", 40)
    assert cluster.call("/new").status == 404
    for text in ("three", "four"):
        cluster.publish(cluster.api("g/a", backend=mock(text)))
        assert cluster.call().body == text.encode()


def test_etcd_with_certificates_and_a_password(start, tmp_path, echo, certificates):
    server, client = certificates.issue("127.0.0.1"), certificates.issue("")
    etcd = Etcd(tmp_path, tls=(certificates.ca, server, client))
    start(etcd)
    etcd.ctl("user", "add", "root:secret-of-root")
    etcd.ctl("user", "grant-role", "root", "root")
    etcd.ctl("user", "add", "penstock:secret-of-penstock")
    etcd.ctl("role", "add", "penstock")
    etcd.ctl("role", "grant-permission", "penstock", "readwrite", "--prefix=true", "/penstock/")
    etcd.ctl("user", "grant-role", "penstock", "penstock")
    etcd.ctl("auth", "enable")
    password = tmp_path / "password"
    password.write_text("secret-of-penstock")
    cluster = make_cluster(start, tmp_path, echo, etcd, (
        "--etcd-ca-file", certificates.ca, "--etcd-cert-file", client.cert, "--etcd-key-file", client.key,
        "--etcd-user", "penstock", "--etcd-password-file", password))
    assert cluster.call().body == b"one"
    etcd.kill()  # its tokens die with it
    etcd.start()
    cluster.api("g/a", backend=mock("two"))
    until(lambda: cluster.controlplane.ctl("publish", "g/a", "--wait", check=False).returncode == 0, "a publish")
    assert cluster.call().body == b"two"
    assert "secret-of" not in cluster.controlplane.log.read_text()


# ---- certificates between agent and control plane


@pytest.fixture
def secured(start, tmp_path, certificates):
    """A control plane that wants certificates of ctl and of the agent "edge", which is not started yet."""
    server, person, edge = certificates.issue("cp"), certificates.issue("ann"), certificates.issue("edge")
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps({
        "certificates": [{"name": "ann", "principal": "ann", "role": "administrator"}], "agents": [{"name": "edge"}]}))
    controlplane = ControlPlane(tmp_path, extra=(
        "--tls-cert-file", server.cert, "--tls-key-file", server.key, "--tls-client-ca-file", certificates.ca,
        "--credentials-file", credentials))
    controlplane.flags = ("--ca", certificates.ca, "--cert", person.cert, "--key", person.key)
    agent = Agent(tmp_path, start(controlplane), "edge", extra=(
        "--controlplane-ca-file", certificates.ca, "--controlplane-cert-file", edge.cert,
        "--controlplane-key-file", edge.key))
    gateway = Gateway(controlplane, agent, None)
    gateway.server, gateway.edge = server, edge
    gateway.group("g")
    controlplane.ctl("publish", gateway.api("g/a", backend=mock("one")))
    return gateway


def test_an_agent_with_its_certificate_is_served(secured, start):
    start(secured.agent)
    assert secured.call().body == b"one"


def test_certificates_are_replaced_while_both_run(secured, start, certificates):
    start(secured.agent)
    certificates.issue("edge", cert=secured.edge)
    certificates.issue("cp", cert=secured.server)
    secured.controlplane.stop()
    secured.controlplane.start()
    until(lambda: secured.agent.metric("penstock_agent_controlplane_connected") == 1, "the agent to come back")
    secured.publish(secured.api("g/a", backend=mock("two")))
    until(lambda: secured.call().body == b"two", "the change to arrive")


@pytest.mark.parametrize("wrong", ["another name", "another authority", "a server of another authority", "no certificate"])
def test_an_agent_that_is_not_trusted_gets_nothing_until_it_is(secured, start, tmp_path, certificates, wrong):
    agent, trusted = secured.agent, list(secured.agent.command)
    stranger = Authority(tmp_path, "stranger")
    if wrong == "another name":
        agent.command[agent.command.index(secured.edge.cert.as_posix())] = str((other := certificates.issue("mallory")).cert)
        agent.command[agent.command.index(secured.edge.key.as_posix())] = str(other.key)
    elif wrong == "another authority":
        agent.command[agent.command.index(secured.edge.cert.as_posix())] = str((other := stranger.issue("edge")).cert)
        agent.command[agent.command.index(secured.edge.key.as_posix())] = str(other.key)
    elif wrong == "a server of another authority":
        agent.command[agent.command.index(certificates.ca.as_posix())] = str(stranger.ca)
    else:
        del agent.command[agent.command.index("--controlplane-cert-file"):]
    agent.launch()
    try:
        agent.wait_http(f"{agent.ops}/readyz", 503)
        until(lambda: agent.metric("penstock_agent_controlplane_failures_total") > 1, "the attempts to fail")
        assert http1.request(agent.port, "/", secured.host).status == 503
    finally:
        assert agent.stop() == 0
    agent.command = trusted
    start(agent)
    assert secured.call().body == b"one"


# ---- what is stored


def test_a_broken_release_is_refused_alone(cluster):
    cluster.publish(cluster.api("g/b", "/good-path", backend=mock("good")))
    cluster.etcd.edit("/penstock/v1/releases/g/b/", b"/good-path", b"bad path {")
    publication = until(lambda: next((p for p in cluster.controlplane.get("api", "g/b")["publications"]
                                      if p.get("refusals")), None), "the refusal to show")
    assert publication["refusals"][0]["reason"]
    cluster.publish(cluster.api("g/a", backend=mock("two")))
    assert cluster.call().body == b"two"
    assert cluster.call("/good-path").body == b"good"
    assert "groups/g/apis/b@RELEASE" in cluster.controlplane.ctl("agents").stdout
    cluster.publish("g/b")
    assert not any(agent.get("refusals") for agent in cluster.controlplane.list("agents"))


def test_a_refusal_is_remembered_by_whoever_restarts(cluster):
    cluster.publish(cluster.api("g/b", "/good-path", backend=mock("good")))
    cluster.etcd.edit("/penstock/v1/releases/g/b/", b"/good-path", b"bad path {")

    def is_shown():
        return "groups/g/apis/b@RELEASE" in cluster.controlplane.ctl("agents").stdout
    until(is_shown, "the refusal to show")
    for restarted in (cluster.agent, cluster.controlplane):
        restarted.stop()
        restarted.start()
        until(is_shown, "the refusal to show again")
        assert cluster.call("/good-path").body == b"good"


def test_a_broken_channel_is_refused_alone(cluster):
    cluster.controlplane.apply({"kind": "Channel", "name": "channels/chan", "port": cluster.backend.port,
                                "members": [{"host": "127.0.0.1", "weight": 1}]})
    cluster.publish(cluster.api("g/b", "/b", backend={"http": {"channel": "channels/chan"}}))
    assert cluster.call("/b").status == 200
    cluster.etcd.edit("/penstock/v1/channels/chan", b"127.0.0.1", b"not a host"[:9])
    until(lambda: any(agent.get("refusals") for agent in cluster.controlplane.list("agents")), "the refusal to show")
    assert "channels/chan" in cluster.controlplane.ctl("agents").stdout
    cluster.publish(cluster.api("g/a", backend=mock("two")))
    assert cluster.call().body == b"two"
    assert cluster.call("/b").status == 200


def test_garbage_in_the_store_hides_nothing_else(cluster):
    cluster.controlplane.apply({"kind": "Channel", "name": "channels/chan", "port": cluster.backend.port,
                                "members": [{"host": "127.0.0.1", "weight": 1}]})
    cluster.publish(cluster.api("g/b", "/b", backend={"http": {"channel": "channels/chan"}}))
    cluster.etcd.put("/penstock/v1/channels/chan", b"\xff\xff garbage")
    cluster.etcd.put("/penstock/v1/channels/other", b"\xff\xff garbage")
    cluster.etcd.put("/penstock/v1/nonsense/d", b"\xff\xff garbage")
    cluster.publish(cluster.api("g/a", backend=mock("two")))
    assert cluster.call().body == b"two"
    assert cluster.call("/b").status == 200
    cluster.controlplane.stop()
    cluster.controlplane.start()
    cluster.publish(cluster.api("g/a", backend=mock("three")))  # the agent may not be back yet: --wait is for those that are
    until(lambda: cluster.call().body == b"three", "the change to arrive")


def test_lists_go_on_past_a_value_that_cannot_be_read(cluster):
    for kind, key in (("apps", "apps/broken"), ("channels", "channels/broken"), ("policies", "policies/broken"),
                      ("groups", "groups/broken"), ("apis g", "apis/g/broken")):
        cluster.etcd.put(f"/penstock/v1/{key}", b"\xff\xff garbage")
        assert "broken" in cluster.controlplane.ctl("get", *kind.split()).stdout


def test_an_acknowledged_publish_survives_a_kill_of_the_control_plane(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("0")))
    done, stop = [0], threading.Event()

    def publish():
        number = 0
        while not stop.is_set():
            number += 1
            document = {"kind": "App", "name": f"apps/app{number}"}
            answer = gateway.controlplane.ctl("apply", "-f", "-", stdin=json.dumps(document), check=False)
            if answer.returncode == 0:
                done.append(number)
    for _ in range(4):
        before, stop = len(done), threading.Event()
        publisher = threading.Thread(target=publish)
        publisher.start()
        until(lambda: len(done) > before + random.randint(3, 12), "some writes")
        gateway.controlplane.kill()
        stop.set()
        publisher.join()
        gateway.controlplane.start()
        names = {app["name"] for app in gateway.controlplane.list("apps")}
        assert {f"apps/app{number}" for number in done[1:]} <= names
    gateway.publish(gateway.api("g/a", backend=mock("1")))
    until(lambda: gateway.call().body == b"1", "the change to arrive")


# ---- the agent's disk


def test_an_agent_killed_at_any_moment_goes_on_with_what_it_has_acknowledged(gateway, start):
    """Also while its journal becomes a snapshot: a megabyte of bodies goes through it."""
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("0")))
    agent = gateway.agent
    connected = list(agent.command)
    alone = [Nowhere().address if word == gateway.controlplane.address else word for word in connected]
    for number in range(8):
        for other in range(8):
            gateway.api(f"g/a{other}", f"/{other}", backend=mock(f"{number}" * 20000))
            gateway.controlplane.publish(f"g/a{other}", wait=False)
        gateway.publish(gateway.api("g/a", backend=mock(f"{number}")))
        agent.kill()
        agent.command = alone
        agent.start()
        assert gateway.call().body == f"{number}".encode()
        agent.kill()
        agent.command = connected
        agent.start()
        until(lambda: agent.metric("penstock_agent_controlplane_connected") == 1, "the agent to connect")
    assert not re.search("damaged|of no use", agent.log.read_text())


def test_a_damaged_journal_counts_up_to_there(cluster):
    agent, journal = cluster.agent, cluster.agent.folder / "snapshot.penstock.journal"
    cluster.publish(cluster.api("g/a", backend=mock("first-form")))
    cluster.publish(cluster.api("g/a", backend=mock("second-form")))
    agent.kill()
    cluster.controlplane.kill()
    journal.write_bytes(journal.read_bytes()[:-7])
    agent.start()
    assert cluster.call().body == b"first-form"
    assert "damaged or cut" in agent.tail()
    cluster.controlplane.start()
    until(lambda: cluster.call().body == b"second-form", "the change to arrive", 40)


def test_a_damaged_snapshot_falls_back_to_the_one_before(cluster):
    agent, cache = cluster.agent, cluster.agent.folder / "snapshot.penstock"
    journal, old = cache.with_suffix(".penstock.journal"), cache.with_suffix(".penstock.old")
    for form in ("first-form", "second-form"):
        cluster.publish(cluster.api("g/a", backend=mock(form)))
        agent.stop()
        journal.write_bytes(b"")  # of no use: the next change makes a snapshot
        agent.start()
        until(lambda: agent.metric("penstock_agent_controlplane_connected") == 1, "the agent to connect")
        cluster.settle()
    assert b"first-form" in old.read_bytes() and b"second-form" in cache.read_bytes()
    agent.kill()
    cluster.controlplane.kill()
    cache.write_bytes(cache.read_bytes()[:-7])
    agent.start()
    assert cluster.call().body == b"first-form"
    assert "damaged" in agent.tail()
    cluster.controlplane.start()
    until(lambda: cluster.call().body == b"second-form", "the change to arrive", 40)


def test_an_agent_with_nothing_to_serve_says_so(tmp_path):
    agent = Agent(tmp_path, Nowhere())
    agent.launch()
    try:
        agent.wait_http(f"{agent.ops}/readyz", 503)
        agent.wait_http(f"{agent.ops}/livez")
        answer = http1.request(agent.port, "/", "g.example.com")
        assert (answer.status, answer.code) == (503, "APIG.0606")
    finally:
        assert agent.stop() == 0


# ---- changes under load


def test_two_hundred_publishes_on_etcd_under_load(cluster, nginx):
    cluster.publish(cluster.api("g/a", backend={"http": {"address": nginx.address}}))
    load = Load(cluster, 90, connections=2)
    for number in range(100):
        if number % 10 == 0:
            cluster.api("g/b", "/b", backend=mock(str(number)))
        cluster.controlplane.publish("g/b", wait=False)
        cluster.controlplane.publish("g/a", wait=False)
    cluster.settle()
    assert cluster.call("/b").body == b"90"
    load.end()


def test_what_is_live_changes_under_load_without_a_failed_request(gateway, start, tmp_path):
    backends = [start(Nginx(tmp_path, name)) for name in ("nginx1", "nginx2")]
    apply = gateway.controlplane.apply

    def members(*chosen):
        apply({"kind": "Channel", "name": "channels/chan", "port": 80,
               "members": [{"host": "127.0.0.1", "port": backend.port, "weight": 1} for backend in chosen]})
    gateway.group("g")
    members(*backends)
    gateway.publish(gateway.api("g/a", backend={"http": {"channel": "channels/chan"}},
                                auth={"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True}))
    apply({"kind": "App", "name": "apps/shop"},
          {"kind": "Authorization", "name": "apps/shop/authorizations/one", "api": "groups/g/apis/a",
           "environment": "environments/RELEASE"},
          {"kind": "AppCode", "name": "apps/shop/codes/main", "code": CODE})
    gateway.settle()
    load = Load(gateway, 60, connections=2, headers=[f"X-Apig-AppCode: {CODE}"])
    for number in range(12):
        members(backends[number % 2])
        gateway.bind("limit", "g/a", throttle={"apiLimit": str(10**9 + number)})
        gateway.bind("here", "g/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["127.0.0.1", f"10.0.0.{number}"]})
        apply({"kind": "App", "name": f"apps/other{number}"},
              {"kind": "Authorization", "name": f"apps/other{number}/authorizations/one",
               "api": "groups/g/apis/a", "environment": "environments/RELEASE"})
        members(*backends)
        gateway.controlplane.ctl("delete", "binding", "limit/g.a.RELEASE")
    gateway.settle()
    load.end()
