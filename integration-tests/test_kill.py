"""A control plane that is killed at any instant of a write: what is stored afterwards is consistent, what was acknowledged is
there, and what was not is there whole or not at all. 200 kills, half of them over SQLite and half over etcd."""
import itertools
import os
import random
import secrets
import threading

import grpc
import pytest

from lib.admin import Admin
from lib.consistency import Contents, etcd_dump, sqlite_dump
from lib.journal import Journal, Writer
from lib.process import PATIENCE, http_text
from lib.servers import ControlPlane, Etcd
from lib.wait import until

KILLS = 100 // PATIENCE  # of each store; under sanitizers fewer, for each takes longer
KEPT = 3
SEED = int(os.environ.get("PENSTOCK_SEED", secrets.randbits(32)))
MOCK = {"mock": {"status": 200}}


# ---- writers: each turn is one write, which one follows from what is there


def toggle(admin, journal, name, create, delete, mark=""):
    if journal[name] is None:
        journal.write(create, {name: mark})
    else:
        journal.write(lambda: delete(name=name), {name: None})


def published(journal, publication):
    """The number of the last release."""
    marks = [name for name in journal.known if name.startswith(publication.replace("/publications/", "/releases/") + "-")]
    return max((int(name.rsplit("-", 1)[1]) for name in marks if journal[name] is not None), default=0)


def release_of(journal, api, number):
    """What a publish changes: the release that is made, the publication, and the release that goes."""
    publication, releases = f"{api}/publications/RELEASE", f"{api}/releases/RELEASE"
    next_number = published(journal, publication) + 1
    change = {publication: f"{releases}-{next_number}", f"{releases}-{next_number}": f"turn {number}"}
    if next_number > KEPT:
        change[f"{releases}-{next_number - KEPT}"] = None
    return change


def live_of_an_api(admin, journal, number):
    """Created, changed, published, bound, authorized, offline and at last deleted with all that goes with it."""
    api = "groups/life/apis/a"
    bound = {"api": api, "environment": "environments/RELEASE"}
    publication, step = f"{api}/publications/RELEASE", number % 12
    if journal[api] is None:
        draft = {"frontend": {"method": "HTTP_METHOD_GET", "path": "/a"}, "description": f"turn {number}",
                 "backend": {"http": {"channel": "channels/shared"}}, "authentication": {"type": "AUTH_TYPE_APP", "app_code": True}}
        journal.write(lambda: admin.CreateApi(parent="groups/life", api_id="a", api=draft), {api: f"turn {number}"})
    elif step in (1, 2, 6):
        journal.write(lambda: admin.PublishApi(name=api, description=f"turn {number}"), release_of(journal, api, number))
    elif step in (3, 8):
        toggle(admin, journal, "policies/shared/bindings/life",
               lambda: admin.CreatePolicyBinding(parent="policies/shared", binding_id="life", binding=bound),
               admin.DeletePolicyBinding)
    elif step in (4, 9):
        toggle(admin, journal, "apps/shared/authorizations/life",
               lambda: admin.CreateAuthorization(parent="apps/shared", authorization_id="life", authorization=bound),
               admin.DeleteAuthorization)
    elif step in (5, 10) and journal[publication]:
        journal.write(lambda: admin.UnpublishApi(name=api), {publication: ""})
    elif step == 11 and not journal[publication]:
        gone = {name: None for name in journal.known if name == api or name.startswith(api + "/") or name.endswith("/life")}
        journal.write(lambda: admin.DeleteApi(name=api), gone)
    else:
        journal.write(lambda: admin.UpdateApi(api={"name": api, "description": f"turn {number}"}), {api: f"turn {number}"})


def unique_values(admin, journal, number):
    """The same host, AppCode, claim and access key again and again."""
    kind, user = number % 4, "accounts/one/users/u"
    if kind == 0:
        toggle(admin, journal, "groups/life/domains/kill.example.com",
               lambda: admin.CreateDomain(parent="groups/life", domain_id="kill.example.com",
                                          domain={"certificates": ["certificates/shared"]}), admin.DeleteDomain)
    elif kind == 1:
        toggle(admin, journal, "apps/shared/codes/c", lambda: admin.CreateAppCode(
            parent="apps/shared", code_id="c", code={"code": "C" + "0de" * 23}), admin.DeleteAppCode)
    elif kind == 2 or journal[user] is None:
        key = f"{user}/keys/KILLKILLKILL0001"
        if journal[user] is None:
            create = lambda: admin.CreateUser(parent="accounts/one", user_id="u", user={"claims": ["sub=u"]})  # noqa: E731
            journal.write(create, {user: ""})
        elif journal[key] is None:
            journal.write(lambda: admin.DeleteUser(name=user), {user: None})
    else:
        toggle(admin, journal, f"{user}/keys/KILLKILLKILL0001",
               lambda: admin.CreateAccessKey(parent=user, access_key_id="KILLKILLKILL0001"), admin.DeleteAccessKey)


def bundles(admin, journal, number):
    """Three resources get one mark; a fourth and a fifth come and go."""
    mark, extra = f"turn {number}", {"groups/bundle/apis/extra": None, "apps/extra": None}
    resources = [{kind: {"name": name, "description": mark}} for kind, name in
                 (("app", "apps/bundle"), ("environment", "environments/BUNDLE"), ("group", "groups/bundle"))]
    if journal["apps/extra"] is None:
        extra = dict.fromkeys(extra, mark)
        resources += [{"api": {"name": "groups/bundle/apis/extra", "description": mark, "backend": MOCK,
                               "frontend": {"method": "HTTP_METHOD_GET", "path": "/extra"}}},
                      {"app": {"name": "apps/extra", "description": mark}}]
    journal.write(lambda: admin.Apply(resources=resources, managed_by="kill", prune=True),
                  {"apps/bundle": mark, "environments/BUNDLE": mark, "groups/bundle": mark, **extra})


DOCUMENT = """{"openapi": "3.0.3", "info": {"title": "kill", "version": "1"}, "paths": {%s}}"""
OPERATION = """"/op%d": {"get": {"operationId": "op%d", "description": "%s", "responses": {"200": {"description": "ok"}}}}"""


def imports(admin, journal, number):
    """A document of five operations, each in a transaction of its own."""
    mark = f"turn {number}"
    document = DOCUMENT % ", ".join(OPERATION % (n, n, mark) for n in range(5))
    journal.write(lambda: admin.ImportOpenApi(parent="groups/import", document=document, mode="IMPORT_MODE_OVERRIDE", backend=MOCK),
                  *({f"groups/import/apis/op{n}": mark} for n in range(5)))


def bulk(admin, journal, number):
    """Four APIs published or taken offline together, each in a transaction of its own."""
    apis = [f"groups/bulk/apis/b{n}" for n in range(4)]
    offline = [{f"{api}/publications/RELEASE": ""} for api in apis if journal[f"{api}/publications/RELEASE"]]
    if number % 3:
        done = journal.write(lambda: admin.PublishApis(parent="groups/bulk", description=f"turn {number}"),
                             *(release_of(journal, api, number) for api in apis))
        assert done.failed == 0, done
    else:
        journal.write(lambda: admin.UnpublishApis(parent="groups/bulk"), *offline)


def plain(name):
    def turn(admin, journal, number):
        journal.write(lambda: admin.UpdateApp(app={"name": f"apps/{name}", "description": f"turn {number}"}),
                      {f"apps/{name}": f"turn {number}"})
    return turn


# And what is there before they begin.
TURNS = [(live_of_an_api, ()), (unique_values, ()), (bundles, ("apps/bundle", "groups/bundle")), (imports, ()), (bulk, ()),
         (plain("p1"), ("apps/p1",)), (plain("p2"), ("apps/p2",))]


def furnish(admin, certificates):
    """What the writers take for granted."""
    made = certificates.issue("kill", names="DNS:kill.example.com")
    for group in ("life", "bundle", "import", "bulk"):
        admin.CreateApiGroup(group_id=group)
    for app in ("shared", "bundle", "p1", "p2"):
        admin.CreateApp(app_id=app)
    for n in range(4):
        admin.CreateApi(parent="groups/bulk", api_id=f"b{n}",
                        api={"frontend": {"method": "HTTP_METHOD_GET", "path": f"/b{n}"}, "backend": MOCK})
    admin.CreateChannel(channel_id="shared", channel={"port": 80, "members": [{"host": "127.0.0.1", "weight": 1}]})
    admin.CreateCertificate(certificate_id="shared", certificate={
        "certificate_pem": made.cert.read_text(), "private_key_pem": made.key.read_text()})
    admin.CreatePolicy(policy_id="shared", policy={"throttle": {"api_limit": 10}})
    admin.CreateAccount(account_id="one")
    admin.CreateUser(parent="accounts/one", user_id="always")
    admin.CreateAccessKey(parent="accounts/one/users/always", access_key_id="KILLKILLKILL0000")


# ---- the stage


@pytest.fixture
def stage(stubs, tmp_path):
    """stage(etcd or None); nothing of it outlives the scenario."""
    made = []

    def make(etcd):
        made.append(Stage(stubs, tmp_path, etcd))
        return made[-1]
    yield make
    for one in made:
        if one.plane.is_running():
            one.plane.kill()


class Stage:
    """A control plane over a store, killed and started again; the keys of secrets change places at each start."""

    def __init__(self, stubs, folder, etcd):
        self.stubs, self.etcd, self.keys, self.lines = stubs, etcd, folder / "seal.keys", ["00" * 32, "11" * 32]
        self.keys.write_text("\n".join(self.lines))
        self.keys.chmod(0o600)
        self.plane = ControlPlane(folder, etcd and etcd.store, "killed", (
            "--seal-key-file", self.keys, "--ticket-key-rotation", "1s", "--releases-kept", KEPT, "--log-level", "warn"))
        self.file = folder / "killed.db"
        self.writers = [(turn, Journal(known), itertools.count()) for turn, known in TURNS]
        self.random, self.dump = random.Random(SEED), None

    def open_admin(self):
        return Admin(self.stubs, grpc.insecure_channel(self.plane.address, [
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]))

    def pause(self, seconds):
        """The moment of a kill: chance, and no condition."""
        threading.Event().wait(self.random.uniform(0, seconds * PATIENCE))

    def rotate(self):
        self.lines.reverse()
        self.keys.write_text("\n".join(self.lines))

    def start(self):
        """What etcd still had under way of the one that was killed is done by then."""
        if not self.etcd and self.file.exists():
            self.dump = sqlite_dump(self.file)
        self.plane.start()
        if self.etcd:
            self.dump = etcd_dump(self.etcd)

    def kill_starting(self):
        self.rotate()
        self.plane.launch()
        self.pause(0.1)
        self.plane.kill()

    def kill_writing(self):
        running = [Writer(*writer, self.open_admin) for writer in self.writers]
        for writer in running:
            writer.start()
        self.pause(0.1)
        self.plane.kill()
        for writer in running:
            writer.join()
            assert writer.error is None, f"seed {SEED}: {writer.turn.__name__}: {writer.error!r}"

    def check(self, thoroughly):
        contents = Contents(self.stubs, self.dump)
        wrong = contents.problems() + [line for _, journal, _ in self.writers for line in journal.problems(contents)]
        if thoroughly:
            admin = self.open_admin()
            wrong += contents.audit_problems() + contents.api_problems(admin)
            admin.close()
        assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong[:20])


def test_what_is_wrong_is_found(start, stage, stubs, tmp_path, certificates):
    """The checks themselves: keys that are edited past the management API."""
    stage = stage(start(Etcd(tmp_path)))
    stage.start()
    admin = stage.open_admin()
    furnish(admin, certificates)
    admin.PublishApis(parent="groups/bulk")

    def wrong():
        contents = Contents(stubs, etcd_dump(stage.etcd))
        return "\n".join(contents.problems() + contents.audit_problems() + contents.api_problems(admin))
    assert wrong() == ""
    b0 = stage.etcd.ctl("get", "--print-value-only", "/penstock/v1/apis/bulk/b0")[:-1]
    for key, found in (("apis/bulk/b0", "groups/bulk/apis/b0/publications/RELEASE stands under nothing"),
                       ("channels/shared", "is gone without an event"),
                       ("releases/bulk/b1/RELEASE/0000000000000000001", "makes groups/bulk/apis/b1/releases/RELEASE-1 effective, which is not there"),
                       ("index/refs/environments/RELEASE/publications/bulk/b2/RELEASE", "is missing for groups/bulk/apis/b2"),
                       ("index/accessKeys/KILLKILLKILL0000", "is missing for accounts/one/users/always")):
        stage.etcd.ctl("del", "/penstock/v1/" + key)
        assert found in wrong()
    stage.etcd.put("/penstock/v1/apis/bulk/b0", b0)
    assert "groups/bulk/apis/b0 was written at" in wrong()
    stage.etcd.put("/penstock/v1/index/domains/nobody.example.com", b"groups/no/domains/nobody.example.com")
    assert "index domains/nobody.example.com says" in wrong()
    admin.close()
    assert stage.plane.stop() == 0


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_killed_at_any_instant(store, start, stage, tmp_path, certificates):
    stage = stage(start(Etcd(tmp_path)) if store == "etcd" else None)
    stage.plane.start()
    admin = stage.open_admin()
    furnish(admin, certificates)
    admin.close()
    for kill in range(1, KILLS + 1):
        if kill % 8 == 0:
            stage.kill_starting()
        else:
            stage.kill_writing()
            stage.rotate()
        if (kill + 1) % 8 == 0:
            continue  # the next one is killed as it starts
        stage.start()
        stage.check(kill % 10 < 2)
    totals = {name: sum(getattr(journal, name) for _, journal, _ in stage.writers) for name in ("acknowledged", "lost", "happened")}
    print(f"seed {SEED}: {totals}")
    assert totals["lost"] > KILLS and totals["acknowledged"] > KILLS
    # Who was killed leads on for as long as its lease lasts.
    until(lambda: "penstock_controlplane_secrets_resealed 1\n" in http_text(f"{stage.plane.ops}/metrics"), "all to be sealed again", 30 * PATIENCE)
    stage.plane.kill()
    stage.keys.write_text(stage.lines[0])  # everything is sealed by the key that was first last
    stage.start()
    stage.check(True)
    assert stage.plane.stop() == 0
