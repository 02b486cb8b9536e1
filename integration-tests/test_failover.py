"""Agents with several control planes: how fast they leave one that is lost, and how they come back."""
import base64
import contextlib
import json
import signal
import time

import pytest

from lib.gateway import Gateway
from lib.load import Load
from lib.namespaces import HERE, THERE, Cable
from lib.servers import Agent, ControlPlane, Etcd, Nowhere
from lib.wait import until

FAILOVER_SECONDS = 2.0
STALL = 1.0  # the machine that this runs on may


def mock(text):
    return {"mock": {"body": base64.b64encode(text.encode()).decode()}}


def make(start, tmp_path, first, second, echo, extra=()):
    """One API, published by the second; the agent prefers the first."""
    agent = Agent(tmp_path, Nowhere(f"{first.address},{second.address}"),
                  extra=("--controlplane-return", "1s", "--log-level", "debug", *extra))
    gateway = Gateway(second, agent, echo)
    gateway.first = first
    gateway.group("g")
    gateway.controlplane.ctl("publish", gateway.api("g/a", backend=mock("one")))
    start(agent)
    wait_for(gateway, first)
    return gateway


@pytest.fixture
def pair(start, tmp_path, echo):
    etcd = start(Etcd(tmp_path))
    first, second = (start(ControlPlane(tmp_path, etcd.store, name)) for name in ("first", "second"))
    gateway = make(start, tmp_path, first, second, echo)
    gateway.etcd = etcd
    return gateway


def wait_for(gateway, controlplane):
    """The last that the agent has connected to is this one."""
    def is_there():
        lines = [line for line in gateway.agent.log.read_text().splitlines() if "connected to the control plane" in line]
        return lines and controlplane.address in lines[-1] and "not connected" not in lines[-1]
    until(is_there, f"the agent to be at {controlplane.name}")


def fails_over(gateway, lose):
    """Seconds from the loss of the first until the second serves the agent."""
    began = time.monotonic()
    lose()
    wait_for(gateway, gateway.controlplane)
    seconds = time.monotonic() - began
    print(f"failover in {seconds:.2f} s")
    return seconds


def serves_changes(gateway, text):
    gateway.publish(gateway.api("g/a", backend=mock(text)))
    assert gateway.call().body == text.encode()


@pytest.mark.parametrize("how", ["killed", "stopped", "drained"])
def test_the_second_takes_over_in_two_seconds(pair, how):
    load = Load(pair, 60, connections=2)
    lose = {"killed": pair.first.kill, "stopped": lambda: pair.first.signal(signal.SIGSTOP),
            "drained": lambda: pair.first.signal(signal.SIGTERM)}[how]
    assert fails_over(pair, lose) < FAILOVER_SECONDS + STALL
    serves_changes(pair, "two")
    assert load.is_running()
    load.end()


def test_who_is_stopped_while_nobody_is_there_is_passed_over(pair, start, tmp_path):
    """Its kernel takes connections all the same."""
    pair.first.signal(signal.SIGSTOP)
    began = time.monotonic()
    pair.agent.stop()
    start(pair.agent)
    wait_for(pair, pair.controlplane)
    assert time.monotonic() - began < 2 * FAILOVER_SECONDS + STALL
    serves_changes(pair, "two")


def test_the_first_is_returned_to_and_sends_what_is_missing_only(pair):
    for number in range(20):
        pair.controlplane.publish(pair.api(f"g/filler{number}", f"/{number}", backend=mock("x" * 500)), wait=False)
    until(lambda: pair.call("/19").status == 200, "all of them to be served")
    pair.first.signal(signal.SIGSTOP)
    wait_for(pair, pair.controlplane)
    serves_changes(pair, "two")
    failures = pair.agent.metric("penstock_agent_controlplane_failures_total")
    pair.first.signal(signal.SIGCONT)
    wait_for(pair, pair.first)
    assert pair.agent.metric("penstock_agent_controlplane_failures_total") == failures  # never without one
    pair.api("g/a", backend=mock("three"))
    pair.controlplane.ctl("publish", "g/a")  # at the other one
    until(lambda: pair.call().body == b"three", "the change to arrive")
    assert pair.call("/7").status == 200


def test_lost_packets_are_a_loss_like_any_other(start, tmp_path, certificates, echo):
    """No reset, no FIN: nothing comes any more, and whoever connects hears nothing."""
    with Cable() as cable:
        run_over(cable, start, tmp_path, certificates, echo)


def run_over(cable, start, tmp_path, certificates, echo):
    server = certificates.issue("cp", f"IP:127.0.0.1,IP:{THERE}")
    person, edge = certificates.issue("ann"), certificates.issue("agent")
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps({
        "certificates": [{"name": "ann", "principal": "ann", "role": "administrator"}], "agents": [{"name": "agent"}]}))
    tls = ("--tls-cert-file", server.cert, "--tls-key-file", server.key, "--tls-client-ca-file", certificates.ca,
           "--credentials-file", credentials)
    with contextlib.ExitStack() as ends:
        def begin(process):
            ends.callback(process.stop)
            process.start()
            return process
        etcd = begin(Etcd(tmp_path, listen=HERE))
        first, second = (ControlPlane(tmp_path, etcd.store, name, extra=tls) for name in ("first", "second"))
        first.move(THERE)
        first.command = [*cable.command, *first.command]
        for controlplane in (first, second):
            controlplane.flags = ("--ca", certificates.ca, "--cert", person.cert, "--key", person.key)
            begin(controlplane)
        gateway = make(begin, tmp_path, first, second, echo, (
            "--controlplane-ca-file", certificates.ca, "--controlplane-cert-file", edge.cert,
            "--controlplane-key-file", edge.key))
        assert fails_over(gateway, cable.cut) < FAILOVER_SECONDS + STALL
        serves_changes(gateway, "two")
        cable.mend()
        wait_for(gateway, first)
        gateway.api("g/a", backend=mock("three"))
        second.ctl("publish", "g/a")
        until(lambda: gateway.call().body == b"three", "the change to arrive", 40)
