"""Backends by name: what a DNS server says, and where requests then go."""
import pytest

from lib.dns import Dns
from lib.gateway import Gateway
from lib.process import has_ipv6, http_text
from lib.servers import Agent, Echo
from lib.wait import until

NAME = "backend.test"


@pytest.fixture
def dns():
    server = Dns()
    yield server
    server.stop()


@pytest.fixture
def gateway(start, tmp_path, controlplane, dns, echo):
    agent = start(Agent(tmp_path, controlplane, extra=["--dns-servers", dns.address]))
    made = Gateway(controlplane, agent, echo)
    made.group("g")
    return made


@pytest.fixture
def second(echo):
    """Another backend on the same port of another address."""
    backend = Echo(("127.0.0.2", echo.port))
    yield backend
    backend.stop()


def publish(gateway, name=NAME):
    gateway.publish(gateway.api("g/a", "/", match="PREFIX",
                                backend={"http": {"address": f"{name}:{gateway.backend.port}"}}))


def names(gateway, what):
    return gateway.agent.metric(f"penstock_agent_dns_{what}")


def test_traffic_follows_a_name_to_its_new_address(gateway, dns, echo, second):
    dns.names[NAME] = ["127.0.0.1"]
    publish(gateway)
    assert gateway.call().status == 200 and len(echo.requests) == 1
    dns.names[NAME] = ["127.0.0.2"]
    until(lambda: gateway.call().status == 200 and second.requests, "a request at the new address")
    before = len(echo.requests)
    for _ in range(20):
        assert gateway.call().status == 200
    assert len(echo.requests) == before  # kept connections to the old address are not used either


@pytest.mark.parametrize("mode", ["silent", "servfail", "garbage"])
def test_the_last_addresses_stay_while_the_server_gives_none(gateway, dns, mode):
    dns.names[NAME] = ["127.0.0.1"]
    publish(gateway)
    assert gateway.call().status == 200
    dns.mode = mode
    until(lambda: names(gateway, "failing_names") == 1, "a look-up to fail")
    assert gateway.call().status == 200
    assert '"dns_error":"' in http_text(f"{gateway.agent.ops}/config")
    dns.mode = "answer"
    until(lambda: names(gateway, "failing_names") == 0, "a look-up to work again")


def test_a_name_that_is_none_is_unresolved_until_there_is_one(gateway, dns):
    publish(gateway)
    answer = gateway.call()
    assert (answer.status, answer.code) == (500, "APIG.0605")
    assert names(gateway, "failures_total") >= 1
    dns.names[NAME] = ["127.0.0.1"]
    until(lambda: gateway.call().status == 200, "the name to be found")


def test_an_answer_that_is_cut_is_asked_for_over_tcp(gateway, dns):
    dns.mode, dns.names[NAME] = "truncate", ["127.0.0.1"]
    publish(gateway)
    assert gateway.call().status == 200
    assert dns.asked_tcp >= 1


def test_of_many_addresses_some_are_taken(gateway, dns):
    dns.names[NAME] = ["127.0.0.1"] * 25
    publish(gateway)
    assert gateway.call().status == 200
    assert http_text(f"{gateway.agent.ops}/config").count('"127.0.0.1"') == 8


def test_a_dead_address_is_stepped_over(gateway, dns):
    dns.names[NAME] = ["127.0.0.9", "127.0.0.1"]
    publish(gateway)
    assert [gateway.call().status for _ in range(5)] == [200] * 5


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_a_name_with_ipv6_only(gateway, dns, echo):
    backend = Echo(("::1", echo.port))
    dns.names[NAME] = ["::1"]
    publish(gateway)
    assert gateway.call().status == 200
    assert len(backend.requests) == 1
    backend.stop()


def test_names_without_an_api_are_looked_up_no_more(gateway, dns):
    dns.names[NAME] = ["127.0.0.1"]
    publish(gateway)
    assert names(gateway, "names") == 1
    gateway.controlplane.ctl("unpublish", "g/a")
    until(lambda: names(gateway, "names") == 0, "the name to be forgotten")


def test_a_server_that_is_no_address_is_refused_at_start(tmp_path, controlplane):
    agent = Agent(tmp_path, controlplane, extra=["--dns-servers", "dns.example.com"]).launch()
    assert agent.popen.wait(10) == 2
    assert "--dns-servers" in agent.tail()
