"""A control plane that has just started knows no changes of before. Agents that have what it reads are sent nothing of it."""
import re

import pytest

from lib.gateway import Gateway
from lib.process import http_text
from lib.servers import Agent, ControlPlane
from lib.wait import until

CODE = "c0de" * 16


class World:
    def __init__(self, start, folder, echo, store=None):
        self.controlplane = start(ControlPlane(folder, store))
        self.agent = start(Agent(folder, self.controlplane))
        self.gateway = gateway = Gateway(self.controlplane, self.agent, echo)
        gateway.group("g")
        for number in range(3):
            gateway.publish(gateway.api(f"g/a{number}", f"/{number}", backend={"mock": {}}, auth={"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True}))
        grants = [{"kind": "Authorization", "name": f"apps/shop/authorizations/{name}", "api": f"groups/g/apis/{api}",
                   "environment": "environments/RELEASE"} for name, api in (("one", "a2"), ("two", "a0"))]
        self.controlplane.apply({"kind": "App", "name": "apps/shop", "displayName": "the shop"}, *grants,
                                {"kind": "AppCode", "name": "apps/shop/codes/main", "code": CODE})
        gateway.bind("near", "g/a0", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["127.0.0.1"]})
        gateway.settle()

    def metric(self, name):
        return float(re.search(rf"^penstock_controlplane_{name} (.*)$", http_text(f"{self.controlplane.ops}/metrics"), re.M).group(1))

    def restart(self):
        self.controlplane.stop()
        self.controlplane.start()

    def is_current(self):
        """The agent is connected, and has all that there is."""
        agents = self.controlplane.list("agents")
        return len(agents) == 1 and agents[0].get("connected") and agents[0].get("appliedRevision") == agents[0].get("currentRevision")

    def sent(self):
        """Full snapshots, since it started."""
        until(self.is_current, "the agent to be current")
        return self.metric("snapshots_sent_total")

    def calls(self):
        return [self.gateway.call(f"/{number}", headers=[("X-Apig-AppCode", CODE)]).status for number in range(3)]


@pytest.fixture(params=["sqlite", "etcd"])
def world(request, start, tmp_path, echo):
    store = request.getfixturevalue("etcd").store if request.param == "etcd" else None
    return World(start, tmp_path, echo, store)


def test_what_an_agent_has_is_not_sent_again(world):
    before = world.calls()
    assert before == [200, 403, 200]
    world.restart()
    assert world.sent() == 0
    world.gateway.publish(world.gateway.api("g/b", "/b", backend={"mock": {}}))
    world.gateway.settle()
    assert world.gateway.call("/b").status == 200 and world.calls() == before
    assert world.metric("snapshots_sent_total") == 0
    assert world.agent.stop() == 0
    world.agent.start()  # from the disk
    world.restart()
    assert world.sent() == 0
    world.gateway.settle()
    assert world.metric("snapshots_sent_total") == 0 and world.calls() == before


def test_one_that_missed_something_gets_all_of_it(world):
    assert world.agent.stop() == 0
    world.controlplane.ctl("delete", "binding", "policies/near/bindings/g.a0.RELEASE")
    world.controlplane.ctl("unpublish", "groups/g/apis/a1")
    world.restart()
    world.agent.start()
    assert world.sent() == 1
    assert world.gateway.call("/1").status == 404
