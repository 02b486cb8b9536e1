"""The management API from foreign clients: python grpcio with generated stubs, and grpc-js by reflection."""
import pytest

from lib.node import node

grpc = pytest.importorskip("grpc")


@pytest.fixture
def service(stubs, controlplane):
    """service("api_group", "ApiGroup"): messages, and a generated stub on the control plane."""
    channel = grpc.insecure_channel(controlplane.address)

    def open_service(proto, service):
        module = stubs(f"penstock.admin.v1.{proto}_pb2")
        stub = getattr(stubs(f"penstock.admin.v1.{proto}_pb2_grpc"), f"{service}ServiceStub")
        return module, stub(channel)
    yield open_service
    channel.close()


def code_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_create_read_update_delete(service):
    pb, groups = service("api_group", "ApiGroup")
    made = groups.CreateApiGroup(pb.CreateApiGroupRequest(group_id="g", group=pb.ApiGroup(description="one")))
    assert made.name == "groups/g" and made.etag.startswith('"') and made.create_time.seconds > 0
    made.description = "two"
    changed = groups.UpdateApiGroup(pb.UpdateApiGroupRequest(group=made, update_mask={"paths": ["description"]}))
    assert changed.description == "two" and changed.etag != made.etag
    stale = code_of(lambda: groups.UpdateApiGroup(pb.UpdateApiGroupRequest(group=made)))
    assert stale.code() == grpc.StatusCode.ABORTED
    groups.DeleteApiGroup(pb.DeleteApiGroupRequest(name="groups/g", etag=changed.etag))
    gone = code_of(lambda: groups.GetApiGroup(pb.GetApiGroupRequest(name="groups/g")))
    assert gone.code() == grpc.StatusCode.NOT_FOUND


def test_lists_come_in_pages(service):
    pb, groups = service("api_group", "ApiGroup")
    for number in range(7):
        groups.CreateApiGroup(pb.CreateApiGroupRequest(group_id=f"g{number}"))
    names, token = [], ""
    while True:
        page = groups.ListApiGroups(pb.ListApiGroupsRequest(page_size=3, page_token=token))
        assert len(page.groups) <= 3
        names += [group.name for group in page.groups]
        token = page.next_page_token
        if not token:
            break
    assert names == sorted(names) and set(names) == {"groups/DEFAULT", *(f"groups/g{n}" for n in range(7))}
    bad = code_of(lambda: groups.ListApiGroups(pb.ListApiGroupsRequest(page_token="nonsense")))
    assert bad.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_refusal_carries_its_violations(service, stubs):
    pb, groups = service("api_group", "ApiGroup")
    refused = code_of(lambda: groups.CreateApiGroup(
        pb.CreateApiGroupRequest(group_id="bad id", group=pb.ApiGroup(description="x" * 2000))))
    assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT
    packed = dict(refused.trailing_metadata())["grpc-status-details-bin"]
    status = stubs("google.rpc.status_pb2").Status.FromString(packed)
    details = stubs("google.rpc.error_details_pb2")
    fields = set()
    for any_detail in status.details:
        if any_detail.type_url.endswith("BadRequest"):
            fields = {v.field for v in details.BadRequest.FromString(any_detail.value).field_violations}
    assert {"group_id", "group.description"} <= fields or {"group_id", "description"} <= fields


def test_what_is_not_there_yet_says_so(service):
    pb, keys = service("signature_key", "SignatureKey")
    assert code_of(lambda: keys.GetSignatureKey(pb.GetSignatureKeyRequest(name="signatureKeys/a"))).code() == grpc.StatusCode.UNIMPLEMENTED


def test_validate_only_writes_nothing(service):
    pb, groups = service("api_group", "ApiGroup")
    groups.CreateApiGroup(pb.CreateApiGroupRequest(group_id="g", validate_only=True))
    assert code_of(lambda: groups.GetApiGroup(pb.GetApiGroupRequest(name="groups/g"))).code() == grpc.StatusCode.NOT_FOUND


def test_a_deadline_is_kept(service, controlplane):
    pb, groups = service("api_group", "ApiGroup")
    assert code_of(lambda: groups.ListApiGroups(pb.ListApiGroupsRequest(), timeout=0.000001)).code() == \
        grpc.StatusCode.DEADLINE_EXCEEDED
    assert groups.ListApiGroups(pb.ListApiGroupsRequest(), timeout=20)


def test_grpc_js_finds_every_service_by_reflection(controlplane):
    found = node("reflection.js", controlplane.address)
    assert {"penstock.admin.v1.ApiService", "penstock.admin.v1.PolicyService", "grpc.health.v1.Health"} <= set(found["services"])
    assert "PublishApi" in found["methods"]


def test_grpc_js_asks_for_health(controlplane):
    assert node("health.js", controlplane.address) == {"": "SERVING", "watch": "SERVING"}
