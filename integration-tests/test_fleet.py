"""Tens of agents on one control plane: they get changes together, take turns at snapshots, and the slow ones go."""
import base64
import re

import pytest

from lib.fleet import Fleet
from lib.gateway import Gateway
from lib.process import http_text
from lib.servers import ControlPlane
from lib.wait import until

AGENTS = 30
BODY = base64.b64encode(b"x" * 60000).decode()  # three such APIs are more than one chunk


def metric(controlplane, name):
    found = re.search(rf"^penstock_controlplane_{name} (.*)$", http_text(f"{controlplane.ops}/metrics"), re.M)
    return float(found.group(1))


@pytest.fixture
def plane(start, tmp_path):
    return start(ControlPlane(tmp_path, extra=("--snapshots-at-once", "2")))


@pytest.fixture
def impatient(plane):
    plane.stop()
    plane.command += ["--agent-stall-timeout", "3s"]
    return plane.start()


@pytest.fixture
def gateway(plane):
    """With a snapshot of some chunks."""
    gateway = Gateway(plane, None, None)
    gateway.group("g")
    for number in range(3):
        gateway.api(f"g/a{number}", f"/{number}", backend={"mock": {"body": BODY}})
        plane.publish(f"g/a{number}", wait=False)
    return gateway


def publish(gateway, text):
    """Its revision; nobody is waited for."""
    gateway.api("g/b", "/b", backend={"mock": {"body": base64.b64encode(text.encode()).decode()}})
    gateway.controlplane.publish("g/b", wait=False)
    return max(int(one["revision"]) for one in gateway.controlplane.get("api", "g/b")["publications"])


def test_a_change_reaches_all_and_a_restart_costs_no_snapshot(gateway, plane, start):
    fleet = start(Fleet(plane, AGENTS))
    fleet.wait(publish(gateway, "one"))
    assert metric(plane, "snapshots_sent_total") == AGENTS
    plane.stop()
    until(lambda: not fleet.open, "the agents to notice")
    plane.start()
    fleet.wait_open(AGENTS)
    fleet.wait(publish(gateway, "two"))
    assert metric(plane, "snapshots_sent_total") == 0
    assert metric(plane, "updates_sent_total") >= AGENTS


def test_each_step_of_a_change_is_timed(gateway, plane, start):
    fleet = start(Fleet(plane, AGENTS))
    fleet.wait()
    until(lambda: metric(plane, "agents_lagging") == 0, "the agents to have all")
    steps = ("watch", "build", "send", "acknowledge", "serve")
    before = {step: metric(plane, f"config_{step}_seconds_count") for step in steps}
    fleet.wait(publish(gateway, "one"))
    for step in steps:
        more = 1 if step in ("watch", "build") else AGENTS
        until(lambda: metric(plane, f"config_{step}_seconds_count") >= before[step] + more, f"step {step}")
    assert metric(plane, "agents_lag_seconds") == 0


def test_the_slow_hold_up_nobody_and_are_dropped(gateway, plane, impatient, start):
    slow = start(Fleet(plane, 6, never_ack=6, prefix="slow"))
    until(lambda: metric(plane, "agents_connected") == 6, "the slow ones to connect")
    fleet = start(Fleet(plane, AGENTS))
    fleet.wait()  # they had the two places
    until(lambda: metric(plane, "agents_stalled_total") >= 6, "the slow ones to be dropped")
    until(lambda: len(slow.ends) >= 6, "them to hear of it")
    assert {why.split()[0] for _, why in slow.ends} == {"ABORTED"}
    shown = plane.get("agent", "slow-0")
    assert "too slow" in shown["lastError"] and shown["lastErrorTime"]
    fleet.wait(publish(gateway, "one"))


def test_an_agent_that_is_behind_says_since_when(gateway, plane, start):
    fleet = start(Fleet(plane, 2, never_ack=1))
    fleet.wait()
    prompt, slow = plane.get("agent", "fleet-0"), plane.get("agent", "fleet-1")
    assert prompt["appliedTime"] and "lag" not in prompt and "lagSince" not in prompt
    assert int(slow["lagRevisions"]) == int(slow["currentRevision"]) > 0
    assert slow["lagSince"] and slow["lag"].endswith("s")
