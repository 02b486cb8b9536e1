"""gRPC through the agent: a real client on one side, a real server on the other, and what the gateway says itself."""
import json
import threading
import time

import pytest

from lib import http1
from lib.dns import Dns
from lib.http2 import Session
from lib.node import NodeServer, node
from lib.process import free_port
from lib.servers import Agent
from lib.wait import until

grpc = pytest.importorskip("grpc")

from lib.grpc_peer import SERVICE, GrpcServer, calls  # noqa: E402

HOST = "rpc.example.com"


@pytest.fixture
def peer():
    server = GrpcServer()
    yield server
    server.stop()


@pytest.fixture
def rpc(gateway, peer):
    """An API of gRPC in the clear, published."""
    gateway.group("rpc", host=HOST)
    serve(gateway, peer)
    return gateway


def serve(gateway, peer, **more):
    backend = {"address": peer.address, **more.pop("grpc", {})}
    gateway.api("rpc/all", path="/", method="POST", protocol="GRPC", match="PREFIX", backend={"grpc": backend}, **more)
    gateway.publish("rpc/all")


@pytest.fixture
def client(rpc):
    channel = connect(rpc)
    yield calls(channel)
    channel.close()


def connect(gateway, host=HOST):
    return grpc.insecure_channel(f"127.0.0.1:{gateway.agent.port}", options=[
        ("grpc.default_authority", host), ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)])


def error_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_all_four_kinds_of_calls(client):
    assert client.unary(b"hello") == b"hello"
    assert list(client.many(b"3")) == [b"0", b"1", b"2"]
    assert client.client(iter([b"ab", b"", b"cde"])) == b"5"
    assert list(client.bidi(iter([b"a", b"b"]))) == [b"a", b"b"]


SEEN = {"unary": "hello", "large": 5 << 20, "fail": "9 not so: 50% \u00e9", "late": "4", "many": ["0", "1", "2"],
        "client": "5", "bidi": ["a", "b"]}


@pytest.fixture
def node_peer(start, tmp_path):
    return start(NodeServer(tmp_path, "grpc_peer.js"))


def test_clients_of_node(rpc):
    assert node("grpc_peer.js", "client", f"127.0.0.1:{rpc.agent.port}", HOST) == SEEN


def test_servers_of_node(rpc, client, node_peer):
    serve(rpc, node_peer)
    assert node("grpc_peer.js", "client", f"127.0.0.1:{rpc.agent.port}", HOST) == SEEN
    answer, call = client.unary.with_call(b"hello")
    assert answer == b"hello" and dict(call.trailing_metadata())["x-last"] == "2"
    assert list(client.many(b"3")) == [b"0", b"1", b"2"]
    assert client.client(iter([b"ab", b"", b"cde"])) == b"5"
    assert list(client.bidi(iter([b"a", b"b"]))) == [b"a", b"b"]
    assert dict(error_of(lambda: client.fail(b"")).trailing_metadata())["grpc-status-details-bin"] == b"\0\1"


def test_over_tls_on_both_sides(tmp_path, feeder, certificates, start):
    issued = certificates.issue("server", f"DNS:{HOST},IP:127.0.0.1")
    pem = {"certificate_pem": issued.cert.read_text(), "private_key_pem": issued.key.read_text()}
    peer = GrpcServer(tls=issued)
    backend = {"host": "127.0.0.1", "port": peer.port, "tls": True, "http2": True, "host_header": HOST,
               "timeout_ms": 20000}
    feeder.prepare(
        {"certificate": {"name": "certificates/a", **pem}},
        {"group": {"name": "groups/g", "domains": [HOST],
                   "tls": [{"host": HOST, "certificates": ["certificates/a"], "min_version": 2}]}},
        {"route": {"name": "groups/g/apis/a@RELEASE", "group": "groups/g", "environment": "RELEASE",
                   "api": "groups/g/apis/a", "api_name": "a", "method": "POST", "path": "/", "prefix": True,
                   "https": True, "grpc": True, "backend": {"http": backend}}})
    agent = Agent(tmp_path, feeder, extra=("--upstream-ca-file", certificates.ca))
    port = free_port()
    agent.command[agent.command.index("--listen") + 1] += f", 127.0.0.1:{port} tls"
    start(agent)
    channel = grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(certificates.ca.read_bytes()),
                                  options=[("grpc.ssl_target_name_override", HOST)])
    over = calls(channel)
    assert over.unary(b"hello") == b"hello" and peer.metadata["x-forwarded-proto"] == "https"
    assert over.client(iter([b"x" * 100000] * 10)) == b"1000000"
    assert list(over.bidi(iter([b"a", b"b"]))) == [b"a", b"b"] and list(over.many(b"2")) == [b"0", b"1"]
    channel.close()
    peer.stop()
    assert agent.stop() == 0


def test_messages_go_both_ways_one_by_one(client):
    """Each is answered before the next one is said."""
    said, heard = threading.Semaphore(0), []

    def say():
        for number in range(20):
            assert said.acquire(timeout=10)
            yield b"%d" % number
    answers = client.bidi(say(), timeout=20)
    for _ in range(20):
        said.release()
        heard.append(next(answers))
    assert heard == [b"%d" % number for number in range(20)]


def test_large_messages(client):
    large = bytes(range(256)) * 65536  # 16 MiB: above --request-body-max, which is for what is not a stream
    assert client.unary(large) == large
    assert client.client(iter([large, large])) == b"%d" % (2 * len(large))


def test_metadata_goes_both_ways(client, peer):
    answer, call = client.unary.with_call(b"", metadata=[("x-own", "a"), ("x-own-bin", b"\xff\0")])
    assert peer.metadata["x-own"] == "a" and peer.metadata["x-own-bin"] == b"\xff\0"
    assert peer.metadata["x-request-id"] and peer.metadata["x-forwarded-proto"] == "http"
    assert dict(call.initial_metadata())["x-first"] == "1"
    assert dict(call.trailing_metadata())["x-last"] == "2"
    assert dict(call.trailing_metadata())["x-last-bin"] == b"\0\1\2"


def test_a_status_of_the_backend_arrives_whole(client):
    error = error_of(lambda: client.fail(b""))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "not so: 50% \u00e9"
    assert dict(error.trailing_metadata())["grpc-status-details-bin"] == b"\0details"
    assert error_of(lambda: client.none(b"")).code() == grpc.StatusCode.UNIMPLEMENTED


def test_each_status_is_in_the_log_and_counted(rpc, client, peer):
    def counted(status):
        return rpc.agent.metric(f'penstock_agent_grpc_calls_total{{status="{status}"}}')
    client.unary(b"")
    error_of(lambda: client.fail(b""))
    error_of(lambda: client.none(b""))  # in a head that is all there is
    peer.stop()
    error_of(lambda: client.unary(b""))
    until(lambda: [counted(status) for status in (0, 9, 12, 14)] == [1] * 4, "the counts")
    until(lambda: rpc.agent.access_log.read_text().count("\n") == 4, "four lines of the access log")
    lines = map(json.loads, rpc.agent.access_log.read_text().splitlines())
    assert [(line["status"], line["grpc_status"]) for line in lines] == [(200, 0), (200, 9), (200, 12), (502, 14)]


def test_a_deadline_is_passed_on_and_kept(client, peer):
    client.unary(b"", timeout=30)
    assert 20 < peer.remaining < 31  # grpcio works it out from two clocks that it reads one after the other
    assert error_of(lambda: client.wait(b"", timeout=1.5)).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert peer.cancelled.wait(10)


def test_the_gateway_keeps_the_deadline_itself(rpc, peer):
    """Of a caller that does not."""
    with Session(rpc.agent.port, HOST) as session:
        stream = session.request("POST", f"/{SERVICE}/Wait", [("content-type", "application/grpc"), ("te", "trailers"),
                                                              ("grpc-timeout", "1500m")], end=False)
        answer = session.data(stream, b"\0\0\0\0\0", end=True).answer(stream)
        assert answer.status == 200 and answer.header("grpc-status") == "4"
        assert peer.cancelled.wait(10)
        peer.cancelled.clear()
        stream = session.request("POST", f"/{SERVICE}/Rest", [("content-type", "application/grpc"), ("te", "trailers"),
                                                              ("grpc-timeout", "1500m")], end=False)
        answer = session.data(stream, b"\0\0\0\0\0", end=True).answer(stream)
        assert answer.body == b"\0\0\0\0\5first" and answer.trailers["grpc-status"] == "4"
        assert peer.cancelled.wait(10)


def test_a_cancelled_call_is_cancelled_at_the_backend(client, peer):
    answers = client.rest(b"")
    assert next(answers) == b"first"
    answers.cancel()
    assert peer.cancelled.wait(10)


def test_a_caller_that_goes_away_cancels(rpc, peer):
    with Session(rpc.agent.port, HOST) as session:
        stream = session.request("POST", f"/{SERVICE}/Wait", [("content-type", "application/grpc")], end=False)
        session.data(stream, b"\0\0\0\0\0", end=True)
        assert peer.waits.wait(10)
    assert peer.cancelled.wait(10)


def test_refusals_are_statuses(rpc, client, peer):
    serve(rpc, peer, auth={"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True})
    error = error_of(lambda: client.unary(b""))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED and "APIG.0303" in error.details()
    serve(rpc, peer)
    peer.stop()
    error = error_of(lambda: client.unary(b""))
    assert error.code() == grpc.StatusCode.UNAVAILABLE and error.details().startswith("APIG.0202: ")
    channel = connect(rpc, "nobody.example.com")
    error = error_of(lambda: calls(channel).unary(b""))
    channel.close()
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED and "APIG.0101" in error.details()
    assert rpc.agent.metric('penstock_agent_refusals_total{reason="auth_key.missing"}') == 1


def test_throttling_is_resource_exhausted(rpc, client):
    rpc.bind("few", "rpc/all", throttle={"unit": "TIME_UNIT_DAY", "apiLimit": "1"})
    assert client.unary(b"") == b""
    error = error_of(lambda: client.unary(b""))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "APIG.0308" in error.details()


def test_what_is_no_grpc_is_told_so(rpc):
    answer = rpc.call("/a.B/c", HOST, method="POST", headers=[("Content-Type", "application/json")], body=b"{}")
    assert answer.status == 415 and b"APIG.0602" in answer.body
    with Session(rpc.agent.port, HOST) as session:
        for timeout in ("1", "1s", "123456789S"):
            stream = session.request("POST", "/a.B/c", [("content-type", "application/grpc"),
                                                        ("grpc-timeout", timeout)])
            answer = session.answer(stream)
            assert answer.status == 200 and answer.header("grpc-status") == "3"


def test_over_http1_a_call_works_with_trailers(rpc):
    with http1.Connection(rpc.agent.port) as connection:
        connection.send(f"POST /{SERVICE}/Unary HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/grpc\r\n"
                        "TE: trailers\r\nConnection: TE\r\nContent-Length: 7\r\n\r\n\0\0\0\0\2ab")
        answer = connection.read()
        assert answer.status == 200 and answer.body == b"\0\0\0\0\2ab"
        assert "grpc-status: 0" in connection.trailers


def test_many_streams_on_few_connections(rpc):
    """1000 calls that are all open at once."""
    server = GrpcServer(threads=1100)
    serve(rpc, server)
    channels = [connect(rpc) for _ in range(10)]
    ends = threading.Event()

    def say():
        yield b"one"
        ends.wait(60)
        yield b"two"
    streams = [calls(channel).bidi(say(), timeout=60) for channel in channels for _ in range(100)]
    assert all(next(stream) == b"one" for stream in streams)
    until(lambda: rpc.agent.metric("penstock_agent_upstream_http2_streams") == 1000, "all of them to be open")
    assert rpc.agent.metric("penstock_agent_upstream_http2_sessions") <= 12
    ends.set()
    assert all(list(stream) == [b"two"] for stream in streams)
    for channel in channels:
        channel.close()
    server.stop()


def test_a_change_of_configuration_does_not_touch_a_stream(rpc, client, peer):
    ends = threading.Event()

    def say():
        yield b"before"
        ends.wait(30)
        yield b"after"
    answers = client.bidi(say(), timeout=30)
    assert next(answers) == b"before"
    serve(rpc, peer, grpc={"timeout": "7s"})
    rpc.settle()
    ends.set()
    assert list(answers) == [b"after"]


def test_a_stream_may_rest(gateway, peer, start, tmp_path):
    """For longer than a body, or the API's timeout, allows: whose turn it is has not said all yet."""
    agent = start(Agent(tmp_path, gateway.controlplane, "patient", extra=("--body-timeout", "100ms")))
    gateway.group("rpc", host=HOST)
    serve(gateway, peer, grpc={"timeout": "0.1s"})
    ends, began = threading.Event(), time.monotonic()

    def say():
        yield b"before"
        ends.wait(30)
        yield b"after"
    channel = grpc.insecure_channel(f"127.0.0.1:{agent.port}", options=[("grpc.default_authority", HOST)])
    answers = calls(channel).bidi(say(), timeout=30)
    assert next(answers) == b"before"
    until(lambda: time.monotonic() > began + 0.5, "both timeouts to be over")
    ends.set()
    assert list(answers) == [b"after"]
    assert error_of(lambda: calls(channel).wait(b"")).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    channel.close()


def test_calls_follow_a_name_to_its_new_address(gateway, peer, start, tmp_path):
    """And what was begun at the old one ends there."""
    dns, second = Dns(), GrpcServer(place=f"127.0.0.2:{peer.port}")
    dns.names["peer.test"] = ["127.0.0.1"]
    agent = start(Agent(tmp_path, gateway.controlplane, "named", extra=("--dns-servers", dns.address)))
    gateway.group("rpc", host=HOST)
    serve(gateway, peer, grpc={"address": f"peer.test:{peer.port}"})
    channel = grpc.insecure_channel(f"127.0.0.1:{agent.port}", options=[("grpc.default_authority", HOST)])
    ends = threading.Event()

    def say():
        yield b"before"
        ends.wait(30)
        yield b"after"
    answers = calls(channel).bidi(say(), timeout=30)
    assert next(answers) == b"before"
    dns.names["peer.test"] = ["127.0.0.2"]
    until(lambda: calls(channel).unary(b"x", timeout=10) == b"x" and second.metadata, "a call at the new address")
    ends.set()
    assert list(answers) == [b"after"]
    channel.close()
    second.stop()
    dns.stop()


def test_backends_that_go_away_lose_no_call(rpc, client, peer):
    """Each is replaced while calls go on: GOAWAY, and what it left out is sent again."""
    failed, done, stop = [], [0], threading.Event()

    def call():
        channel = connect(rpc)
        unary = calls(channel).unary
        while not stop.is_set():
            try:
                assert unary(b"x", timeout=20) == b"x"
                done[0] += 1
            except grpc.RpcError as error:
                failed.append(error)
        channel.close()
    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        after, before = GrpcServer(), peer
        serve(rpc, after)
        rpc.settle()
        before.server.stop(5).wait()
        peer = after
        count = done[0]
        until(lambda: done[0] > count + 50, "calls to go on")
    stop.set()
    for thread in threads:
        thread.join()
    peer.stop()
    assert failed == []
    until(lambda: rpc.agent.metric("penstock_agent_upstream_http2_goaways_total") > 0, "a GOAWAY to be counted")
