"""Quotas: one too many is refused with its code, also by two control planes that create at the same time."""
import concurrent.futures

import pytest

from lib.admin import Admin
from lib.servers import ControlPlane

grpc = pytest.importorskip("grpc")

API = {"frontend": {"method": "HTTP_METHOD_GET"}, "backend": {"mock": {}}}


@pytest.fixture
def pair(start, tmp_path, etcd, stubs):
    """make(*options): clients of two control planes on one etcd."""
    opened = []

    def make(*options):
        planes = [start(ControlPlane(tmp_path, etcd.store, f"cp{n}", options)) for n in range(2)]
        opened.extend(Admin(stubs, grpc.insecure_channel(plane.address)) for plane in planes)
        return opened[-2:]
    yield make
    for admin in opened:
        admin.close()


def create_at_once(admins, count):
    """What became of each: a name, or a refusal."""
    def create(number):
        api = {**API, "frontend": {**API["frontend"], "path": f"/{number}"}}
        try:
            return admins[number % 2].CreateApi(parent="groups/g", api_id=f"a{number}", api=api).name
        except grpc.RpcError as error:
            return error.code().name
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        return list(pool.map(create, range(count)))


def test_a_hundred_at_once_are_created_far_from_the_limit(pair):
    admins = pair()
    admins[0].CreateApiGroup(group_id="g")
    outcomes = create_at_once(admins, 100)
    assert sorted(outcomes) == sorted(f"groups/g/apis/a{number}" for number in range(100))


def test_near_the_limit_not_one_too_many_is(pair):
    admins = pair("--group-apis-max", "30")
    admins[0].CreateApiGroup(group_id="g")
    outcomes = create_at_once(admins, 100)
    assert set(outcomes) - {"RESOURCE_EXHAUSTED", "ABORTED"} == {
        api.name for api in admins[1].ListApis(parent="groups/g", page_size=1000).apis}
    created = sum(outcome.startswith("groups/") for outcome in outcomes)
    assert created <= 30
    while created < 30:  # who lost every race may come again
        admins[0].CreateApi(parent="groups/g", api_id=f"more{created}",
                            api={**API, "frontend": {**API["frontend"], "path": f"/more{created}"}})
        created += 1
    refused = admins[1].refused("CreateApi", parent="groups/g", api_id="x", api={**API, "frontend": {**API["frontend"], "path": "/x"}})
    assert (refused.code, refused.reason, refused.apig) == ("RESOURCE_EXHAUSTED", "API_NUM_PER_GROUP_LIMIT", "APIG.3125")


def test_they_are_shown_with_what_is_used(start, tmp_path):
    plane = start(ControlPlane(tmp_path, extra=("--apps-max", "2", "--groups-max", "0")))
    for app in ("one", "two"):
        plane.apply({"kind": "App", "name": f"apps/{app}"})
    assert plane.ctl("create", "-f", "-", stdin="{kind: App, name: apps/three}", check=False).returncode == 1
    shown = {quota["name"]: quota for quota in plane.list("quotas")}
    assert (shown["quotas/APP_NUM_LIMIT"]["limit"], shown["quotas/APP_NUM_LIMIT"]["used"]) == ("2", "2")
    assert "limit" not in shown["quotas/API_GROUP_NUM_LIMIT"] and shown["quotas/API_GROUP_NUM_LIMIT"]["used"] == "1"
    assert plane.get("quota", "DOMAIN_NUM_LIMIT")["option"] == "--domains-max"
