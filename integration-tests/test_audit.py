"""Audit events: every write of the management API, who made it and what became of it; over two control planes on one etcd."""
import csv
import hashlib
import io
import json
import threading

import pytest

from lib.servers import ControlPlane
from lib.wait import until

grpc = pytest.importorskip("grpc")

ROLES = ("viewer", "operator", "administrator")
API = {"kind": "Api", "name": "groups/g/apis/a", "backend": {"mock": {}},
       "frontend": {"method": "HTTP_METHOD_GET", "path": "/a"}}


@pytest.fixture
def pair(start, tmp_path, etcd):
    """Two control planes; .ctl is the administrator's, role(...) of others."""
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({"tokens": [
        {"sha256": hashlib.sha256(role.encode()).hexdigest(), "principal": f"={role}", "role": role} for role in ROLES]}))
    for role in ROLES:
        (tmp_path / role).write_text(role)
    keys = tmp_path / "seal.keys"
    keys.write_text("00" * 32)
    planes = [start(ControlPlane(tmp_path, etcd.store, f"cp{n}", ("--credentials-file", file, "--seal-key-file", keys)))
              for n in range(2)]
    for plane in planes:
        plane.flags = ("--token-file", tmp_path / "administrator")
    planes[0].apply({"kind": "ApiGroup", "name": "groups/g"})
    planes[0].apply(API)
    return planes


def events(plane, *words):
    return json.loads(plane.ctl("get", "audit-events", "-o", "json", *words).stdout)


def as_role(plane, role, *words, **more):
    flags, plane.flags = plane.flags, ("--token-file", plane.flags[1].parent / role)
    try:
        return plane.ctl(*words, **more)
    finally:
        plane.flags = flags


def test_a_write_at_one_replica_is_an_event_at_the_other(pair):
    one, other = pair
    one.apply(dict(API, description="changed"))
    event = events(other, "--method", "Apply")[0]
    assert (event["principal"], event["sourceAddress"], event["resource"]) == ("=administrator", "127.0.0.1", API["name"])
    change, = event["changes"]
    before, after = json.loads(change["before"]), json.loads(change["after"])
    assert "description" not in before and after["description"] == "changed"
    assert f'"{event["revision"]}"' == one.get("api", "g/a")["etag"]
    assert "description" in json.loads(event["request"])["resources"][0]["updateMask"]
    assert other.get("audit-event", event["name"])["method"].endswith(".BundleService/Apply")


def test_what_is_refused_is_an_event_with_its_code(pair):
    one, other = pair
    assert as_role(one, "viewer", "publish", "g/a", check=False).returncode == 6
    assert one.ctl("apply", "-f", "-", stdin=json.dumps(dict(API, frontend={"path": "no"})), check=False).returncode != 0
    denied, = events(other, "--code", "permission_denied")
    assert (denied["principal"], denied["resource"], denied["code"]) == ("=viewer", API["name"], 7)
    assert "viewer" in denied["message"] and "revision" not in denied and "changes" not in denied
    wrong, = events(other, "--code", "INVALID_ARGUMENT")
    assert wrong["resource"] == API["name"] and "frontend" in wrong["message"]
    assert {event["name"] for event in events(one, "--refused")} == {denied["name"], wrong["name"]}


def test_only_administrators_read_them(pair):
    for role in ("viewer", "operator"):
        for words in ((), ("-o", "csv")):
            assert as_role(pair[0], role, "get", "audit-events", *words, check=False).returncode == 6


def test_reads_and_dry_runs_and_strangers_are_no_events(pair, tmp_path):
    one, _ = pair
    (tmp_path / "stranger").write_text("a guess")
    before = len(events(one))
    one.ctl("get", "apis")
    one.ctl("publish", "g/a", "--dry-run")
    one.apply(API)  # changes nothing
    assert as_role(one, "stranger", "publish", "g/a", check=False).returncode == 6
    assert len(events(one)) == before


def test_a_bulk_publish_is_an_event_for_each(pair):
    one, other = pair
    one.apply(dict(API, name="groups/g/apis/b", frontend={"method": "HTTP_METHOD_GET", "path": "/b"}))
    one.ctl("publish", "--group", "g", "--description", "night")
    found = events(other, "--method", "PublishApis")
    assert {event["resource"] for event in found} == {"groups/g/apis/a", "groups/g/apis/b"}
    assert all(json.loads(event["request"])["description"] == "night" for event in found)


def test_filters(pair):
    one, _ = pair
    one.apply({"kind": "App", "name": "apps/shop"})
    assert {event["resource"] for event in events(one, "--resource", "groups/g")} == {"groups/g", "groups/g/apis/a"}
    assert [event["resource"] for event in events(one, "--resource", "apps")] == ["apps/shop"]
    assert events(one, "--principal", "nobody") == []
    assert events(one, "--until", "1h") == [] and events(one, "--since", "1h")
    assert events(one, "--since", "2100-01-01T00:00:00Z") == []
    assert len(events(one, "--limit", "1")) == 1
    for words in (("--code", "BAD"), ("--since", "yesterday"), ("-o", "csv", "--until", "x")):
        assert one.ctl("get", "audit-events", *words, check=False).returncode == 2
    assert one.ctl("get", "apis", "--refused", check=False).returncode == 2
    assert one.ctl("get", "apis", "-o", "csv", check=False).returncode == 2


def test_csv_for_spreadsheets(pair):
    one, _ = pair
    as_role(one, "viewer", "publish", "g/a", check=False)
    rows = list(csv.DictReader(io.StringIO(one.ctl("get", "audit-events", "-o", "csv").stdout)))
    assert rows[0]["principal"] == "'=viewer" and rows[0]["code"] == "PERMISSION_DENIED"
    assert rows[0]["method"] == "penstock.admin.v1.ApiService/PublishApi" and rows[0]["time"].endswith("Z")
    assert len(rows) == len(events(one))


def test_no_secret_is_told(pair, certificates):
    one, _ = pair
    made = certificates.issue("shop", names="DNS:shop.example.com")
    one.apply({"kind": "Certificate", "name": "certificates/shop", "certificatePem": made.cert.read_text(),
               "privateKeyPem": made.key.read_text()}, {"kind": "App", "name": "apps/shop"})
    code = "A" + "b" * 70
    one.apply({"kind": "AppCode", "name": "apps/shop/codes/one", "code": code})
    told = one.ctl("get", "audit-events", "-o", "json").stdout
    assert told.count("(hidden)") >= 2 and code not in told
    assert made.key.read_text().splitlines()[1] not in told and "sealedPrivateKey" not in told


def test_each_of_many_writers_has_its_event(pair):
    """What was not lost is what was recorded: of 40 writers to one API each is an event, at a revision of its own."""
    done = []

    def write(plane, number):
        status = plane.ctl("apply", "-f", "-", stdin=json.dumps(dict(API, tags=[f"n{number}"])), check=False).returncode
        done.append((number, status))

    threads = [threading.Thread(target=write, args=(pair[n % 2], n)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = events(pair[0], "--method", "Apply", "--principal", "=administrator", "--resource", "groups/g/apis/a", "--limit", "0")[:-1]  # it was made by the last
    good = [event for event in found if "code" not in event]
    tags = {json.loads(event["changes"][0]["after"])["tags"][0] for event in good}
    assert tags == {f"n{number}" for number, status in done if status == 0}
    assert len(found) == 40 and len({event["revision"] for event in good}) == len(good) >= 8
    chain = sorted(good, key=lambda event: int(event["revision"]))
    for earlier, later in zip(chain, chain[1:]):
        assert later["changes"][0]["before"] == earlier["changes"][0]["after"]


def test_they_go_when_they_are_old(start, tmp_path, etcd):
    planes = [start(ControlPlane(tmp_path, etcd.store, f"cp{n}", ("--audit-retention", "2s"))) for n in range(2)]
    planes[0].apply({"kind": "ApiGroup", "name": "groups/g"})
    until(lambda: events(planes[1]) == [], "no events")
    assert b"audit/events" not in etcd.ctl("get", "--prefix", "/penstock/", "--keys-only")


def test_foreign_clients_page_through_them(admin, controlplane):
    for number in range(7):
        controlplane.apply({"kind": "ApiGroup", "name": f"groups/g{number}"})
    seen, token = [], ""
    while True:
        page = admin.ListAuditEvents(page_size=3, page_token=token, resource="groups")
        seen += [event.resource for event in page.audit_events]
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"groups/g{number}" for number in reversed(range(7))]
    assert admin.refused("ListAuditEvents", page_token="x").fields.keys() == {"page_token"}
    assert admin.refused("GetAuditEvent", name="auditEvents/1").fields.keys() == {"name"}
    assert admin.ExportAuditEvents().rows == 7


def test_a_bundle_is_one_event_with_all_that_it_wrote(pair):
    one, other = pair
    one.apply({"kind": "App", "name": "apps/shop"}, dict(API, description="changed"))
    event = events(other, "--method", "Apply")[0]
    assert "resource" not in event and {c["resource"]: "before" in c for c in event["changes"]} == {"apps/shop": False, API["name"]: True}
    assert events(other, "--resource", "apps/shop")[0] == event
    refused = {"kind": "App", "name": "apps/two", "displayName": "x"}
    assert one.ctl("apply", "-f", "-", stdin=json.dumps([API, refused]), check=False).returncode == 1
    assert events(other, "--refused")[0]["resource"] == "apps/two"
