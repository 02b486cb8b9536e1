"""What dies and what goes on: nothing is refused for the sake of configuration."""
import base64
import signal
import threading

import pytest

from lib.gateway import Gateway
from lib.load import Load
from lib.servers import Agent, ControlPlane, Etcd
from lib.wait import until


def mock(text):
    return {"mock": {"body": base64.b64encode(text.encode()).decode()}}


@pytest.fixture
def cluster(start, tmp_path, echo):
    """Control plane on etcd, one agent, one published API."""
    etcd = start(Etcd(tmp_path))
    controlplane = start(ControlPlane(tmp_path, etcd.store))
    agent = start(Agent(tmp_path, controlplane))
    gateway = Gateway(controlplane, agent, echo)
    gateway.etcd = etcd
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    return gateway


def test_control_plane_and_etcd_killed_under_load(cluster, nginx):
    cluster.publish(cluster.api("g/a", backend={"http": {"address": nginx.address}}))
    load = Load(cluster, 6)
    cluster.controlplane.kill()
    cluster.etcd.kill()
    until(lambda: cluster.agent.metric("penstock_agent_controlplane_connected") == 0, "the agent to notice")
    assert load.is_running()
    load.finish()


def test_an_agent_restarted_meanwhile_serves_from_disk(cluster):
    until(lambda: cluster.agent.metric("penstock_agent_cached_revision") ==
          cluster.agent.metric("penstock_agent_revision"), "the snapshot to be on disk")
    cluster.controlplane.kill()
    cluster.etcd.kill()
    cluster.agent.kill()
    cluster.agent.start()
    assert cluster.call().body == b"one"


def test_a_pending_change_arrives_when_they_return(cluster):
    cluster.agent.stop()
    cluster.api("g/a", backend=mock("two"))
    cluster.controlplane.ctl("publish", "g/a")
    cluster.controlplane.kill()
    cluster.etcd.kill()
    cluster.agent.start()
    assert cluster.call().body == b"one"
    cluster.etcd.start()
    cluster.controlplane.start()
    until(lambda: cluster.call().body == b"two", "the change to arrive", 40)


def test_the_control_plane_serves_agents_while_etcd_is_away(cluster, start, tmp_path):
    cluster.settle()
    cluster.etcd.signal(signal.SIGSTOP)
    second = start(Agent(tmp_path, cluster.controlplane, "second"))
    cluster.agent = second
    assert cluster.call().body == b"one"
    cluster.etcd.signal(signal.SIGCONT)


def test_two_hundred_publishes_under_load(gateway, nginx):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend={"http": {"address": nginx.address}}))
    gateway.publish(gateway.api("g/b", "/b", backend=mock("0")))
    load = Load(gateway, 600)
    for number in range(1, 201):
        gateway.api("g/b", "/b", backend=mock(str(number)))
        gateway.controlplane.publish("g/b", wait=False)
    assert load.is_running()
    gateway.settle()
    assert gateway.call("/b").body == b"200"
    load.end()


def test_sigterm_drains_without_losing_a_request(gateway, echo):
    gateway.group("g")
    gateway.publish(gateway.api("g/a"))
    entered, leave = threading.Event(), threading.Event()

    def slow(request):
        entered.set()
        leave.wait(20)
        return 200, [], b"done"
    echo.reply = slow
    answers = []
    caller = threading.Thread(target=lambda: answers.append(gateway.call()))
    caller.start()
    assert entered.wait(20)
    gateway.agent.signal(signal.SIGTERM)
    until(lambda: refuses(gateway), "new connections to be refused")
    leave.set()
    caller.join(20)
    assert answers[0].status == 200 and answers[0].body == b"done"
    assert answers[0].header("Connection") == "close"
    assert gateway.agent.popen.wait(20) == 0


def refuses(gateway):
    try:
        gateway.call("/refused")
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # one worker's listener has closed, and not the other's yet
        return False
    return False


def test_a_broken_cache_is_refused_and_the_agent_waits(cluster):
    cache = cluster.agent.folder / "snapshot.penstock"
    until(cache.exists, "the snapshot to be on disk")
    cluster.agent.stop()
    for file in (cache, cache.with_suffix(".penstock.old")):
        if file.exists():
            file.write_bytes(file.read_bytes()[:-5] + b"wrong")
    cluster.agent.start()
    assert cluster.call().body == b"one"
    assert "damaged" in cluster.agent.tail()
