"""Wall clocks that jump, by a day and back, under callers: nothing that has to go on goes by them."""
import email.utils
import os
import struct
import time

import grpc
import pytest

from lib.admin import Admin
from lib.gateway import Gateway
from lib.process import BIN, http_text
from lib.servers import Agent, ControlPlane
from lib.upgrade import Callers
from lib.wait import until

pytestmark = pytest.mark.skipif(os.environ.get("PENSTOCK_PRESET") in ("asan", "tsan"), reason="the shim and a sanitizer are both to be first")
HOUR = 3600
JUMPS = [30 * HOUR, -30 * HOUR, 0, HOUR, -2 * HOUR]  # seconds off what is true


class Clock:
    """Of one program."""

    def __init__(self, program):
        self.file = program.folder / f"{program.name}.clock"
        self.set(0)
        program.command = ["env", f"LD_PRELOAD={BIN / 'clock-shim.so'}", f"CLOCK_OFFSET={self.file}", *program.command]

    def set(self, seconds):
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


class World:
    def __init__(self, start, folder, stubs, etcd):
        self.controlplane = ControlPlane(folder, etcd.store)
        self.above = Clock(self.controlplane)
        start(self.controlplane)
        self.agent = Agent(folder, self.controlplane)
        self.below = Clock(self.agent)
        start(self.agent)
        self.admin = Admin(stubs, grpc.insecure_channel(self.controlplane.address))

    def publish(self):
        return self.admin.PublishApi(name="groups/g/apis/a", wait={"seconds": 10})

    def off(self, whose, published):
        """Seconds that the clock of one of them shows too much."""
        if whose == "above":
            return published.release.create_time.seconds - time.time()
        return email.utils.parsedate_to_datetime(dict(self.gateway.call("/a").headers)["Date"]).timestamp() - time.time()


@pytest.fixture
def world(start, tmp_path, stubs, etcd, echo):
    made = World(start, tmp_path, stubs, etcd)
    gateway = made.gateway = Gateway(made.controlplane, made.agent, echo)
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/a", backend={"mock": {}}))
    yield made
    made.admin.close()


@pytest.mark.parametrize("whose", ["above", "below"])
def test_publishing_and_calls_go_on(world, whose):
    callers = Callers(world.gateway, path="/a")
    for jump in JUMPS:
        getattr(world, whose).set(jump)
        published = world.publish()
        until(lambda: abs(world.off(whose, published) - jump) < 5, "the jump to be seen")
        assert published.rollout.applied == 1 and published.rollout.duration.seconds < 5, published
        found = world.admin.ListAgents().agents[0]
        assert found.connected and abs(found.lag.seconds) < 5, found
    assert world.controlplane.is_running() and world.agent.is_running()
    callers.end()


def test_the_lease_of_the_leader_is_not_lost_to_a_jump(world):
    """The leader is who is told; a control plane that took itself for late would stop being it."""
    def leads():
        return "\npenstock_controlplane_leader 1\n" in http_text(f"{world.controlplane.ops}/metrics")
    until(leads, "it to lead")
    for jump in JUMPS:
        world.above.set(jump)
        assert world.publish().rollout.applied == 1
        assert leads()


def test_a_window_that_was_used_up_ends_when_the_clock_goes_back(world):
    gateway = world.gateway
    gateway.publish(gateway.api("g/t", "/t", backend={"mock": {}}))
    gateway.bind("few", "g/t", throttle={"apiLimit": 2, "interval": 1, "unit": "TIME_UNIT_HOUR"})
    gateway.settle()

    def use_up():
        answers = [gateway.call("/t").status for _ in range(5)]
        assert answers[0] == 200 and answers[-1] == 429, answers
    use_up()
    for jump in (30 * HOUR, -30 * HOUR):
        world.below.set(jump)
        until(lambda: gateway.call("/t").status == 200, "a new window")
        until(lambda: gateway.call("/t").status == 429, "its end")
