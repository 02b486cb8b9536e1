"""The management API at the level of bytes, streams and connections."""
import signal
import threading
from collections import Counter

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from lib.admin import Admin
from lib.servers import Agent, ControlPlane
from lib.wait import until

CREATE, GET = (f"/penstock.admin.v1.ApiGroupService/{method}ApiGroup" for method in ("Create", "Get"))
MESSAGE_MAX = 4 * 1024 * 1024


def test_bytes_that_are_no_request(admin):
    for data in (b"\xff\xff\xff", b"\x08\x01", b"\x0a\xff\xff\xff\xff\x7f", b"\x0a\x05abc"):
        assert admin.raw(GET, data).code == "INVALID_ARGUMENT", data
    for data, field in ((b"\x0a\x02\xff\xfe", "group_id"), (b"\x0a\x01u\x12\x04\x3a\x02\xc3\x28", "group.description"),
                        (b"\x0a\x03u\x00v", "group_id"), (b"\x0a\x01u\x12\x05\x3a\x03\xed\xa0\x80", "group.description")):
        refused = admin.raw(CREATE, data)
        assert refused.code == "INVALID_ARGUMENT" and refused.fields.keys() == {field}
    for path in ("/penstock.admin.v1.ApiGroupService/Nothing", "/x.Y/Z", "/"):
        assert admin.raw(path, b"").code == "UNIMPLEMENTED"


def test_unknown_fields_are_dropped(admin):
    unknown = b"\xfa\x07\x06hidden"
    inner = b"\x3a\x03abc" + unknown
    made = admin.raw(CREATE, b"\x0a\x01u\x12" + bytes([len(inner)]) + inner + unknown)
    assert b"abc" in made and b"hidden" not in made
    assert b"hidden" not in admin.raw(GET, b"\x0a\x08groups/u")


def test_messages_above_the_limit(admin):
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        data = b"\x0a\x01u\x12" + b"x" * (MESSAGE_MAX + 1)
        assert admin.raw(CREATE, data, compression=compression).code == "RESOURCE_EXHAUSTED"
    assert admin.ListApiGroups().groups


def test_many_calls_and_streams_at_once(admin, stubs):
    health = stubs.module("health")
    watch = admin.channel.unary_stream("/grpc.health.v1.Health/Watch", health.HealthCheckRequest.SerializeToString,
                                       health.HealthCheckResponse.FromString)
    watches = [watch(health.HealthCheckRequest()) for _ in range(200)]
    assert Counter(next(stream).status for stream in watches) == {1: 200}
    codes = Counter(call.code().name for call in [admin.future("CreateApp", app_id=f"app{n}") for n in range(300)])
    assert codes == {"OK": 300}
    assert len(admin.ListApps(page_size=1000).apps) == 300
    for stream in watches:
        stream.cancel()


def test_health(admin, stubs):
    health = stubs.module("health")
    check = admin.channel.unary_unary("/grpc.health.v1.Health/Check", health.HealthCheckRequest.SerializeToString,
                                      health.HealthCheckResponse.FromString)
    watch = admin.channel.unary_stream("/grpc.health.v1.Health/Watch", health.HealthCheckRequest.SerializeToString,
                                       health.HealthCheckResponse.FromString)
    for service in ("", *stubs.services):
        assert check(health.HealthCheckRequest(service=service), timeout=20).status == health.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        check(health.HealthCheckRequest(service="nobody"), timeout=20)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    stream = watch(health.HealthCheckRequest(service="nobody"), timeout=20)
    assert next(stream).status == health.HealthCheckResponse.SERVICE_UNKNOWN
    stream.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_knows_every_message(admin, stubs, version):
    pb = stubs.module(f"reflection_{version}")
    stream = admin.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                         pb.ServerReflectionRequest.SerializeToString,
                                         pb.ServerReflectionResponse.FromString)

    def ask(**question):
        return next(stream(iter([pb.ServerReflectionRequest(**question)]), timeout=20))
    services = {service.name for service in ask(list_services="").list_services_response.service}
    assert services >= {*stubs.services, "grpc.health.v1.Health", f"grpc.reflection.{version}.ServerReflection"}
    pool, added = descriptor_pool.DescriptorPool(), set()

    def add(name):
        if name in added:
            return
        added.add(name)
        for data in ask(file_by_filename=name).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            for dependency in file.dependency:
                add(dependency)
            if file.name == name:
                pool.AddSerializedFile(data)
    for service in services:
        answer = ask(file_containing_symbol=service).file_descriptor_response
        add(descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_proto[0]).name)
        assert pool.FindServiceByName(service).methods
    assert ask(file_containing_symbol="no.such.Thing").error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert ask(file_by_filename="no.proto").error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_stop_ends_streams_and_lets_calls_finish(start, stubs, tmp_path):
    """With an idle connection, a watch, a connected agent and a publish that waits: all end long before the patience does."""
    controlplane = start(ControlPlane(tmp_path, extra=("--drain-timeout", "5m")))
    agent = start(Agent(tmp_path, controlplane))
    idle, admin = (Admin(stubs, grpc.insecure_channel(controlplane.address, [("grpc.use_local_subchannel_pool", 1)]))
                   for _ in range(2))
    idle.ListApps()
    health = stubs.module("health")
    stream = admin.channel.unary_stream("/grpc.health.v1.Health/Watch", health.HealthCheckRequest.SerializeToString,
                                        health.HealthCheckResponse.FromString)(health.HealthCheckRequest())
    assert next(stream).status == health.HealthCheckResponse.SERVING
    admin.CreateApi(parent="groups/DEFAULT", api_id="a", api={
        "frontend": {"method": "HTTP_METHOD_GET", "path": "/a"}, "backend": {"mock": {}}})
    agent.signal(signal.SIGSTOP)
    publish = admin.future("PublishApi", name="groups/DEFAULT/apis/a", wait={"seconds": 50})
    until(lambda: list(idle.ListReleases(parent="groups/DEFAULT/apis/a").releases), "the release to be written")
    assert controlplane.stop() == 0
    agent.signal(signal.SIGCONT)
    assert publish.result().rollout.agents == 1
    rest = []

    def read():
        try:
            rest.extend(update.status for update in stream)
        except grpc.RpcError as error:
            rest.append((error.code().name, error.details()))
    reader = threading.Thread(target=read)
    reader.start()
    reader.join(20)
    assert rest == [health.HealthCheckResponse.NOT_SERVING, ("UNAVAILABLE", "draining")]
    assert agent.is_running()
    for opened in (idle, admin):
        opened.close()
