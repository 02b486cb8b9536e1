"""etcd that is full, that is slow, and that loses its leader: what callers of the management API and of agents notice."""
import signal

import grpc

from lib import http1
from lib.admin import Admin
from lib.process import http_text
from lib.servers import Agent, ControlPlane, Etcd
from lib.wait import until

API = {"frontend": {"method": "HTTP_METHOD_GET", "path": "/", "protocol": "PROTOCOL_HTTP"}, "backend": {"mock": {"status": 200, "body": b"served"}}}


class Members:
    """Three of one cluster."""

    def __init__(self, folder):
        self.all = [Etcd(folder, f"etcd{n}") for n in range(3)]
        cluster = ",".join(f"{member.name}=http://127.0.0.1:{member.peer_port}" for member in self.all)
        for member in self.all:
            member.command[member.command.index("--initial-cluster") + 1] = cluster
            member.command += ["--heartbeat-interval", "50", "--election-timeout", "500"]
            member.launch()
        for member in self.all:
            member.wait_http(f"http://127.0.0.1:{member.health_port}/health")
        self.store = "etcd:" + ",".join(member.url for member in self.all)

    def leader(self):
        return next(member for member in self.all if member.popen.poll() is None and
                    "\netcd_server_is_leader 1\n" in http_text(f"http://127.0.0.1:{member.health_port}/metrics"))

    def stop(self):
        """Without a farewell: the last ones would wait for a quorum."""
        for member in self.all:
            if member.popen and member.popen.poll() is None:
                member.popen.kill()
                member.popen.wait(20)


class World:
    def __init__(self, start, folder, stubs, store, **more):
        self.controlplane = start(ControlPlane(folder, store, **more))
        self.agent = start(Agent(folder, self.controlplane))
        self.admin = Admin(stubs, grpc.insecure_channel(self.controlplane.address))
        self.admin.CreateApiGroup(group_id="g")
        self.admin.CreateDomain(parent="groups/g", domain_id="g.example.com")
        self.admin.CreateApi(parent="groups/g", api_id="a", api=API)
        self.admin.PublishApi(name="groups/g/apis/a", wait={"seconds": 20})

    def serves(self):
        return http1.request(self.agent.port, "/", "g.example.com").status == 200

    def publish(self):
        return self.admin.PublishApi(name="groups/g/apis/a", wait={"seconds": 20}).rollout.applied == 1


def test_a_full_store_refuses_writes_and_nothing_else(start, tmp_path, stubs):
    etcd = start(Etcd(tmp_path, extra=("--quota-backend-bytes", str(24 * 1024 * 1024))))
    world = World(start, tmp_path, stubs, etcd.store)
    big = b"x" * 1024 * 1024
    for number in range(40):
        try:
            etcd.put(f"other/{number}", big)
        except AssertionError as full:
            assert "space exceeded" in str(full)
            break
    refused = world.admin.refused("CreateApp", app_id="one")
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "STORE_FULL") and "space" in refused.message
    assert world.admin.GetApi(name="groups/g/apis/a").name == "groups/g/apis/a"
    assert world.serves()
    etcd.ctl("del", "--prefix", "other/")
    etcd.compact()
    etcd.ctl("defrag")
    etcd.ctl("alarm", "disarm")
    until(lambda: not isinstance(attempt(world.admin, "two"), str), "writes to come back")
    assert world.publish()


def attempt(admin, app):
    try:
        return admin.CreateApp(app_id=app)
    except grpc.RpcError as error:
        return error.code().name


def test_writes_go_on_when_the_leader_of_the_store_changes(start, tmp_path, stubs):
    members = Members(tmp_path)
    try:
        world = World(start, tmp_path, stubs, members.store)
        for turn, end in enumerate((signal.SIGKILL, signal.SIGSTOP)):
            leader = members.leader()
            leader.popen.send_signal(end)
            until(lambda: attempt(world.admin, f"turn{turn}") not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED"), "writes to go on", 30)
            until(world.publish, "a publish to reach the agent", 30)
            assert world.serves()
            if end == signal.SIGSTOP:
                leader.popen.send_signal(signal.SIGCONT)
            else:
                leader.start()
            assert {app.name for app in world.admin.ListApps().apps} >= {f"apps/turn{n}" for n in range(turn + 1)}
    finally:
        members.stop()


def test_an_etcd_that_stops_again_and_again(start, tmp_path, stubs):
    etcd = start(Etcd(tmp_path))
    world = World(start, tmp_path, stubs, etcd.store)
    done = 0
    for turn in range(10):
        etcd.popen.send_signal(signal.SIGSTOP)
        call = world.admin.method("CreateApp")
        request = call[0](app_id=f"turn{turn}")
        future = call[1].future(request, timeout=20)
        assert world.serves()
        etcd.popen.send_signal(signal.SIGCONT)
        try:
            future.result()
            done += 1
        except grpc.RpcError as error:
            assert error.code().name in ("UNAVAILABLE", "ABORTED"), error
    assert done > 0 and world.publish()


def test_a_store_that_may_only_be_read(start, tmp_path, stubs):
    """Somebody took the right to write away: said to who writes, and nothing else ends for it."""
    etcd = start(Etcd(tmp_path))
    password = tmp_path / "password"
    password.write_text("secret of the gateway")
    etcd.ctl("user", "add", "root:secret of root")
    etcd.ctl("user", "grant-role", "root", "root")
    etcd.ctl("role", "add", "gateway")
    etcd.ctl("role", "grant-permission", "gateway", "readwrite", "--prefix", "/penstock/")
    etcd.ctl("user", "add", "gateway:secret of the gateway")
    etcd.ctl("user", "grant-role", "gateway", "gateway")
    etcd.ctl("auth", "enable")
    etcd.flags = ("--user", "root:secret of root")
    world = World(start, tmp_path, stubs, etcd.store, extra=("--etcd-user", "gateway", "--etcd-password-file", password))
    etcd.ctl("role", "grant-permission", "gateway", "read", "--prefix", "/penstock/")
    refused = world.admin.refused("CreateApp", app_id="one")
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "STORE_REFUSED") and "permission denied" in refused.message
    assert world.admin.GetApi(name="groups/g/apis/a").name == "groups/g/apis/a"
    assert world.serves()
    world.controlplane.stop()
    world.controlplane.start()  # it starts, and tells agents what it reads
    world.admin = Admin(stubs, grpc.insecure_channel(world.controlplane.address, [("grpc.use_local_subchannel_pool", 1)]))
    until(lambda: [agent.connected for agent in world.admin.ListAgents().agents] == [True], "the agent to be back")
    assert world.serves() and world.admin.refused("CreateApp", app_id="one").reason == "STORE_REFUSED"
    etcd.ctl("role", "grant-permission", "gateway", "readwrite", "--prefix", "/penstock/")
    until(lambda: not isinstance(attempt(world.admin, "one"), str), "writes to come back")
    assert world.publish()
