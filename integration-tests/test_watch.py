"""Watch: changes as they happen, by gRPC (python, npm) and as server-sent events; what was missed, who may see what."""
import hashlib
import json
import subprocess
import threading

import grpc
import pytest

from lib.admin import Admin, Refusal
from lib.node import node
from lib.process import BIN, PATIENCE
from lib.servers import Agent, ControlPlane
from lib.wait import until
from test_json import API, Curl, controlplane_metric


class Watch:
    """A watch by grpcio. next() is the next answer that has events, or any with bookmarks."""

    def __init__(self, stubs, channel, metadata=(), **fields):
        module = stubs.module("penstock.admin.v1.watch")
        self.stubs, self.seen = stubs, 0
        self.call = channel.unary_stream("/penstock.admin.v1.WatchService/Watch", module.WatchRequest.SerializeToString,
                                         module.WatchResponse.FromString)(module.WatchRequest(**fields), metadata=metadata, timeout=60 * PATIENCE)

    def next(self, bookmarks=False):
        for answer in self.call:
            self.seen = answer.revision
            if answer.events or bookmarks:
                return answer
        raise AssertionError("the watch ended well")

    def events(self):
        """(what happened, name) of each."""
        names = {1: "created", 2: "updated", 3: "deleted"}
        return [(names[event.type], event.name) for event in self.next().events]

    def refusal(self):
        """What it ends with, behind what was under way."""
        try:
            for _ in self.call:
                pass
        except grpc.RpcError as error:
            return Refusal(self.stubs, error)
        raise AssertionError("the watch ended well")

    def cancel(self):
        self.call.cancel()


@pytest.fixture
def watch(stubs):
    opened = []

    def open_watch(channel, **fields):
        opened.append(Watch(stubs, channel, **fields))
        return opened[-1]
    yield open_watch
    for each in opened:
        each.cancel()


def test_changes_of_any_kind(watch, admin, controlplane, curl):
    every, shop = watch(admin.channel), watch(admin.channel, kinds=["apis"], parent="groups/shop")
    assert every.next(bookmarks=True).revision and shop.next(bookmarks=True).revision
    admin.CreateApiGroup(group_id="shop")
    assert every.events() == [("created", "groups/shop")]
    admin.CreateApiGroup(group_id="other")
    assert every.events() == [("created", "groups/other")]
    curl("POST", "/v1/groups/other/apis?apiId=read", API)
    assert every.events() == [("created", "groups/other/apis/read")]
    curl("POST", "/v1/groups/shop/apis?apiId=read", API)
    assert every.events() == [("created", "groups/shop/apis/read")]
    assert shop.next().events[0].api.frontend.path == "/read"
    admin.PublishApi(name="groups/shop/apis/read")  # one step at a time: events show resources as they are now
    assert sorted(every.events()) == [("created", "groups/shop/apis/read/releases/RELEASE-1"), ("updated", "groups/shop/apis/read")]
    assert len(shop.next().events[0].api.publications) == 1
    admin.UnpublishApi(name="groups/shop/apis/read")
    assert len(shop.next().events[0].api.publications) == 0
    admin.DeleteApi(name="groups/shop/apis/read")
    while ("deleted", "groups/shop/apis/read") not in shop.events():
        pass


@pytest.fixture
def curl(controlplane):
    return Curl(controlplane)


def test_a_transaction_is_one_answer(watch, admin):
    """All events of a revision come together: a watch goes on behind it without a gap."""
    first = watch(admin.channel, kinds=["apps"])
    first.next(bookmarks=True)
    admin.Apply(resources=[{"app": {"name": f"apps/a{i}"}} for i in range(20)])
    assert len(first.events()) == 20
    first.cancel()
    admin.CreateApp(app_id="later")
    second = watch(admin.channel, after_revision=first.seen)
    assert second.events() == [("created", "apps/later")]


def test_what_was_missed_comes_first(watch, admin):
    first = watch(admin.channel)
    first.next(bookmarks=True)
    first.cancel()
    for i in range(50):
        admin.CreateApp(app_id=f"a{i}")
    second = watch(admin.channel, after_revision=first.seen)
    assert [second.events()[0][1] for _ in range(50)] == [f"apps/a{i}" for i in range(50)]
    ahead = watch(admin.channel, after_revision=1 << 40).refusal()
    assert (ahead.code, ahead.reason) == ("OUT_OF_RANGE", "RELIST")
    wrong = watch(admin.channel, kinds=["nope"]).refusal()
    assert wrong.code == "INVALID_ARGUMENT" and "kinds[0]" in wrong.fields


def test_bookmarks_come_by_themselves(watch, admin):
    quiet = watch(admin.channel, kinds=["channels"])
    begin = quiet.next(bookmarks=True).revision
    admin.CreateApp(app_id="a")
    while quiet.next(bookmarks=True).revision <= begin:
        pass


@pytest.fixture
def forgetful(start, tmp_path, stubs):
    """The management API of a control plane that keeps few changes."""
    plane = start(ControlPlane(tmp_path, extra=("--watch-bytes-max", "65536", "--apps-max", "0")))
    opened = Admin(stubs, grpc.insecure_channel(plane.address))
    opened.plane = plane
    yield opened
    opened.close()


def test_what_is_forgotten_is_said_so(watch, forgetful):
    """A reader that takes nothing is sent away in the end; it holds up nobody, and others are told to list again."""
    slow, fast = watch(forgetful.channel), watch(forgetful.channel)
    begin = slow.next(bookmarks=True).revision
    fast.next(bookmarks=True)
    turns = 0
    while controlplane_metric(forgetful.plane, "watches_slow_total") == 0:
        turns += 1
        forgetful.Apply(resources=[{"app": {"name": f"apps/a{i}", "display_name": f"turn {turns}", "description": "x" * 250}}
                                   for i in range(50)])
        assert len(fast.events()) == 50
    refusal = slow.refusal()
    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "WATCH_TOO_SLOW")
    refusal = watch(forgetful.channel, after_revision=begin).refusal()
    assert (refusal.code, refusal.reason) == ("OUT_OF_RANGE", "RELIST")
    error = Curl(forgetful.plane).refused("GET", f"/v1/watch?afterRevision={begin}")
    assert (error.status, error.reason) == ("OUT_OF_RANGE", "RELIST")
    forgetful.CreateApp(app_id="new")
    assert fast.events() == [("created", "apps/new")]


def test_grpc_js_by_reflection(watch, admin, controlplane):
    begin = watch(admin.channel).next(bookmarks=True).revision
    admin.CreateApp(app_id="a", app={"display_name": "App A"})
    admin.DeleteApp(name="apps/a")
    assert node("watch.js", controlplane.address, 2, begin) == [
        {"type": "RESOURCE_EVENT_TYPE_CREATED", "name": "apps/a", "key": "App A"},
        {"type": "RESOURCE_EVENT_TYPE_DELETED", "name": "apps/a", "key": None}]


class Ctl:
    """penstockctl get ... -w: line() is the next line; it is ended when it says nothing for too long."""

    def __init__(self, controlplane, *words):
        self.popen = subprocess.Popen([BIN / "penstockctl", "--server", controlplane.address, "get", *words, "-w"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.limit = threading.Timer(60 * PATIENCE, self.popen.kill)
        self.limit.start()

    def line(self):
        return self.popen.stdout.readline().split()

    def stop(self):
        self.limit.cancel()
        self.popen.kill()
        self.popen.communicate()


def test_penstockctl_watches(controlplane, curl):
    curl("POST", "/v1/apps?appId=one")
    table, lines, one = Ctl(controlplane, "apps"), Ctl(controlplane, "apps", "-o", "json"), Ctl(controlplane, "app", "one", "-o", "name")
    try:
        assert table.line()[0] == "NAME" and table.line()[0] == "apps/one"
        assert one.line() == ["apps/one"]
        while lines.line() != ["]"]:
            pass
        curl("POST", "/v1/apps?appId=two")
        curl("DELETE", "/v1/apps/one")
        assert table.line()[:2] == ["created", "apps/two"] and table.line() == ["deleted", "apps/one"]
        assert json.loads(lines.popen.stdout.readline())["app"]["name"] == "apps/two"
        assert one.line() == ["apps/one"]
        controlplane.stop()
        assert table.popen.wait(30) == 5 and "draining" in table.popen.stderr.read()
    finally:
        for each in (table, lines, one):
            each.stop()


def test_agents_are_told(watch, events, admin, controlplane, curl, start, tmp_path):
    """Who connects, what is applied, who leaves: by gRPC, as server-sent events, and by penstockctl."""
    both, table = watch(admin.channel, kinds=["agents", "apps"]), Ctl(controlplane, "agents")
    stream = events("/v1/watch?kinds=agents")
    try:
        begin = both.next(bookmarks=True).revision
        assert stream.raw()[1] == {"revision": stream.id}
        until(lambda: controlplane_metric(controlplane, "watches_open") == 3, "all to watch")
        agent = start(Agent(tmp_path, controlplane))
        event = both.next().events[0]
        assert (event.name, event.agent.connected, event.type) == ("agents/agent", True, 1)
        assert stream.next()["events"][0]["agent"]["name"] == "agents/agent"
        while (line := table.line())[:2] != ["created", "agents/agent"]:
            assert line  # what the list says, when it was the slower one
        curl("POST", "/v1/apps?appId=one")
        seen = {}
        while seen.get("agents/agent", 0) <= begin or "apps/one" not in seen:
            answer = both.next()
            assert answer.revision >= begin
            for event in answer.events:
                seen[event.name] = event.agent.applied_revision if event.agent.name else True
        agent.stop()
        while both.next().events[0].agent.connected:
            pass
        while stream.next()["events"][0]["agent"].get("connected"):
            pass
        while (line := table.line())[:3] != ["updated", "agents/agent", "no"]:
            assert line
    finally:
        table.stop()


def test_audit_events_are_told_to_who_asks(watch, events, admin, controlplane, curl):
    """In the answer of what was written; a watch of everything has none."""
    every, both = watch(admin.channel), watch(admin.channel, kinds=["auditEvents", "apps"])
    stream, table = events("/v1/watch?kinds=auditEvents"), Ctl(controlplane, "audit-events", "--limit", "1")
    try:
        every.next(bookmarks=True), both.next(bookmarks=True), stream.raw()
        until(lambda: controlplane_metric(controlplane, "watches_open") == 4, "all to watch")
        curl("POST", "/v1/apps?appId=one")
        assert every.events() == [("created", "apps/one")]
        app, event = both.next().events
        assert app.name == "apps/one" and event.audit_event.resource == "apps/one"
        assert event.audit_event.changes[0].resource == "apps/one" and event.audit_event.revision == both.seen
        assert admin.GetAuditEvent(name=event.name) == event.audit_event
        assert stream.next()["events"][0]["auditEvent"]["method"].endswith("/CreateApp")
        curl("POST", "/v1/apps?appId=one", status=409)
        assert both.next().events[0].audit_event.code == 6
        while (line := table.line())[:1] != ["created"]:
            assert line
        assert "apps/one" in line
        assert controlplane.ctl("get", "audit-events", "-w", "--refused", check=False).returncode == 2
    finally:
        table.stop()


def test_two_control_planes_tell_the_same(watch, start, tmp_path, stubs, etcd):
    one, two = (start(ControlPlane(tmp_path, etcd.store, name=f"plane-{n}")) for n in (1, 2))
    channels = [grpc.insecure_channel(plane.address) for plane in (one, two)]
    here, there = (watch(channel, kinds=["apps"]) for channel in channels)
    here.next(bookmarks=True), there.next(bookmarks=True)
    one.apply({"kind": "App", "name": "apps/a"})
    two.apply({"kind": "App", "name": "apps/b"})
    for reader in (here, there):
        assert reader.events() == [("created", "apps/a")] and reader.events() == [("created", "apps/b")]
    # and one goes on where the other one was left
    on = watch(channels[1], kinds=["apps"], after_revision=here.seen - 1)
    assert on.events()[0][1] == "apps/b"
    for channel in channels:
        channel.close()


def test_drain_ends_a_watch(watch, admin, controlplane):
    here = watch(admin.channel)
    here.next(bookmarks=True)
    controlplane.stop()
    assert here.refusal().code == "UNAVAILABLE"


class Events:
    """Server-sent events by curl: next() is (id, data) of the next one that has any."""

    def __init__(self, base, path, *flags):
        self.curl = subprocess.Popen(["curl", "-sSNg", "--max-time", str(60 * PATIENCE), *map(str, flags), base + path], stdout=subprocess.PIPE, text=True)
        self.id = None

    def raw(self):
        """(kind, data) of the next event."""
        kind = "message"
        for line in self.curl.stdout:
            word, _, value = line.rstrip("\n").partition(": ")
            if word == "id":
                self.id = value
            elif word == "event":
                kind = value
            elif word == "data":
                return kind, json.loads(value)
        raise AssertionError("the stream has ended")

    def next(self):
        while True:
            kind, data = self.raw()
            assert kind == "message", data
            if data.get("events"):
                return data

    def stop(self):
        self.curl.kill()
        self.curl.wait()


@pytest.fixture
def events(curl):
    opened = []

    def open_events(path, *flags, base=None):
        opened.append(Events(base or curl.base, path, *flags))
        return opened[-1]
    yield open_events
    for each in opened:
        each.stop()


def test_server_sent_events(events, curl):
    stream = events("/v1/watch?kinds=apps&kinds=codes")
    _, begin = stream.raw()
    assert begin == {"revision": stream.id}
    app = curl("POST", "/v1/apps?appId=one", {"description": "the first"})
    code = curl("POST", "/v1/apps/one/codes?codeId=c")
    data = stream.next()
    assert app.pop("secret")  # shown once, to who made it
    assert data["events"] == [{"type": "RESOURCE_EVENT_TYPE_CREATED", "name": "apps/one", "app": app}]
    told = stream.next()["events"][0]["code"]
    assert told["hint"] == code["hint"] and "code" not in told and "digest" not in told
    curl("DELETE", "/v1/apps/one")
    assert {event["name"] for event in stream.next()["events"]} == {"apps/one", "apps/one/codes/c"}
    stream.stop()
    # what a browser sends when it comes back
    again = events("/v1/watch?kinds=apps", "-H", f"Last-Event-ID: {data['revision']}")
    assert again.next()["events"] == [{"type": "RESOURCE_EVENT_TYPE_DELETED", "name": "apps/one"}]


def test_server_sent_events_that_are_refused(curl):
    assert "kinds[0]" in curl.refused("GET", "/v1/watch?kinds=nope").fields
    assert "nope" in curl.refused("GET", "/v1/watch?nope=1").fields
    assert "Last-Event-ID" in curl.refused("GET", "/v1/watch", flags=("-H", "Last-Event-ID: x")).fields
    assert curl.refused("POST", "/v1/watch", "{}", status=405)


def test_the_end_is_an_event(events, controlplane):
    stream = events("/v1/watch")
    stream.raw()
    controlplane.stop()
    kind, data = stream.raw()
    assert kind == "error" and data["error"]["status"] == "UNAVAILABLE"
    assert stream.curl.wait(20) == 0


def test_readers_that_leave_are_forgotten(events, controlplane):
    streams = [events("/v1/watch") for _ in range(20)]
    for stream in streams:
        stream.raw()
    assert controlplane_metric(controlplane, "watches_open") == 20
    for stream in streams:
        stream.stop()
    until(lambda: controlplane_metric(controlplane, "watches_open") == 0, "all to be gone")


TOKENS = {"root": {"role": "administrator"}, "shop": {"role": "viewer", "limits": ["groups/shop"]},
          "ops": {"role": "auditor"}}


def test_everybody_sees_what_they_may_read(watch, start, tmp_path, stubs):
    file = tmp_path / "credentials.json"

    def write(names):
        file.write_text(json.dumps({"tokens": [
            {"sha256": hashlib.sha256(name.encode()).hexdigest(), "principal": name, **TOKENS[name]} for name in names],
            "roles": [{"name": "auditor", "actions": ["ChannelService/*"]}]}))
    write(TOKENS)
    plane = start(ControlPlane(tmp_path, extra=("--credentials-file", file)))
    curl = Curl(plane, "-H", "Authorization: Bearer root")
    channel = grpc.insecure_channel(plane.address)

    def as_(name, **fields):
        return watch(channel, metadata=(("authorization", f"Bearer {name}"),), **fields)
    shop, ops = as_("shop"), as_("ops")
    shop.next(bookmarks=True), ops.next(bookmarks=True)
    assert as_("nobody").refusal().code == "UNAUTHENTICATED"
    refusal = as_("ops", kinds=["apis"]).refusal()
    assert refusal.code == "PERMISSION_DENIED" and "ApiService/GetApi" in refusal.message
    assert Curl(plane).refused("GET", "/v1/watch", status=401)
    for group in ("other", "shop"):
        curl("POST", f"/v1/groups?groupId={group}")
        curl("POST", f"/v1/groups/{group}/apis?apiId=a", API)
    curl("POST", "/v1/channels?channelId=one", {"port": 80, "members": [{"host": "127.0.0.1", "weight": 1}]})
    assert shop.events() == [("created", "groups/shop")]
    assert shop.events() == [("created", "groups/shop/apis/a")]
    assert ops.events() == [("created", "channels/one")]
    write(["root"])
    assert shop.refusal().code == "UNAUTHENTICATED"
    channel.close()
