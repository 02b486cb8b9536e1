"""Accounts, users and access keys: users as callers of the management API, with python grpcio, and what is stored of them."""
import hashlib
import json

import grpc
import pytest

from lib.admin import Admin
from lib.servers import ControlPlane
from lib.wait import until

ROOT = "the token of root"


class Callers:
    """The management API of a control plane with a credentials file, as anybody."""

    def __init__(self, stubs, plane, file):
        self.stubs, self.plane, self.file, self.opened = stubs, plane, file, []

    def __call__(self, token):
        admin = Admin(self.stubs, grpc.insecure_channel(self.plane.address))
        method = admin.method

        def as_caller(name):
            request, call = method(name)
            return request, lambda message, **more: call(message, metadata=[("authorization", f"Bearer {token}")], **more)
        admin.method = as_caller
        self.opened.append(admin)
        return admin


def credentials(**more):
    root = {"sha256": hashlib.sha256(ROOT.encode()).hexdigest(), "principal": "root", "role": "administrator"}
    return json.dumps({"tokens": [root], "roles": [
        {"name": "publisher", "actions": ["ApiService/Get*", "ApiService/Publish*"]}], **more})


@pytest.fixture
def callers(start, tmp_path, stubs):
    file = tmp_path / "credentials.json"
    file.write_text(credentials())
    made = Callers(stubs, start(ControlPlane(tmp_path, extra=("--credentials-file", file))), file)
    yield made
    for admin in made.opened:
        admin.close()


@pytest.fixture
def root(callers):
    admin = callers(ROOT)
    for group in ("shop", "food"):
        admin.CreateApiGroup(group_id=group)
    admin.CreateAccount(account_id="acme")
    return admin


def make_user(root, callers, name, *grants, account="acme"):
    """The user as a caller, by a key that is made for it."""
    root.CreateUser(parent=f"accounts/{account}", user_id=name, user={"grants": grants})
    key = root.CreateAccessKey(parent=f"accounts/{account}/users/{name}")
    return callers(f"{key.name.rsplit('/', 1)[1]}:{key.secret}"), key


def test_a_user_has_what_its_grants_give(callers, root):
    ann, key = make_user(root, callers, "ann", {"role": "operator", "limits": ["groups/shop"]})
    who = ann.WhoAmI()
    assert (who.principal, who.proof) == ("accounts/acme/users/ann", "access key")
    ann.UpdateApiGroup(group={"name": "groups/shop", "description": "ann was here"})
    assert ann.refused("UpdateApiGroup", group={"name": "groups/food", "description": "x"}).code == "PERMISSION_DENIED"
    root.UpdateUser(user={"name": who.principal, "grants": [{"role": "viewer"}]})
    assert len(ann.ListApiGroups().groups) == 3  # DEFAULT, too
    assert ann.refused("UpdateApiGroup", group={"name": "groups/shop", "description": "x"}).code == "PERMISSION_DENIED"
    root.UpdateUser(user={"name": who.principal}, update_mask={"paths": ["grants"]})
    assert not ann.WhoAmI().rights and ann.refused("ListApiGroups").code == "PERMISSION_DENIED"
    assert key.secret not in callers.plane.log.read_text()
    events = str(root.ListAuditEvents())
    assert "CreateAccessKey" in events and key.secret not in events and "accounts/acme/users/ann" in events


def test_who_is_nobody(callers, root):
    ann, key = make_user(root, callers, "ann", {"role": "viewer"})
    ak = key.name.rsplit("/", 1)[1]
    for token in (f"{ak}:{key.secret}x", f"{ak}:", ak, f":{key.secret}", f"{ak.lower()}:{key.secret}", f"{key.secret}:{ak}",
                  f"accounts/acme/users/ann:{key.secret}", f"../keys/acme/ann/{ak}:{key.secret}"):
        refusal = callers(token).refused("ListApiGroups")
        assert refusal.code == "UNAUTHENTICATED" and key.secret not in refusal.message, token
    for method, resource, name in (("UpdateAccessKey", "access_key", key.name), ("UpdateUser", "user", "accounts/acme/users/ann"),
                                   ("UpdateAccount", "account", "accounts/acme")):
        change = {"update_mask": {"paths": ["disabled"]}}
        getattr(root, method)(**{resource: {"name": name, "disabled": True}}, **change)
        assert ann.refused("ListApiGroups").code == "UNAUTHENTICATED", name
        getattr(root, method)(**{resource: {"name": name}}, **change)
        ann.ListApiGroups()
    root.DeleteAccessKey(name=key.name)
    assert ann.refused("ListApiGroups").code == "UNAUTHENTICATED"


def test_custom_roles_follow_the_file(callers, root):
    ann, _ = make_user(root, callers, "ann", {"role": "publisher"})
    assert [r.role for r in ann.WhoAmI().rights] == ["publisher"]
    assert root.refused("UpdateUser", user={"name": "accounts/acme/users/ann", "grants": [{"role": "nothing"}]}).code == \
        "INVALID_ARGUMENT"
    assert ann.refused("GetApi", name="groups/shop/apis/none").code == "NOT_FOUND"
    callers.file.write_text(credentials(roles=[{"name": "other", "actions": ["*"]}]))
    assert ann.refused("GetApi", name="groups/shop/apis/none").code == "PERMISSION_DENIED"
    assert not ann.WhoAmI().rights


def test_an_administrator_of_an_account(callers, root):
    """Runs the account, and cannot make itself or anybody more than it is."""
    root.CreateAccount(account_id="other")
    root.CreateUser(parent="accounts/other", user_id="eve")
    boss, _ = make_user(root, callers, "boss", {"role": "administrator", "limits": ["accounts/acme"]})
    _, rich_key = make_user(root, callers, "rich", {"role": "administrator"})
    boss.CreateUser(parent="accounts/acme", user_id="ben")
    key = boss.CreateAccessKey(parent="accounts/acme/users/ben")
    assert [a.name for a in boss.ListAccounts().accounts] == ["accounts/acme"]
    assert {u.name for u in boss.ListUsers(parent="accounts/-").users} == {f"accounts/acme/users/{u}" for u in ("boss", "ben", "rich")}
    before = [root.ListUsers(parent="accounts/-"), root.ListAccounts()]
    for method, request in (
            ("GetAccount", {"name": "accounts/other"}), ("ListUsers", {"parent": "accounts/other"}),
            ("CreateAccount", {"account_id": "third"}), ("DeleteUser", {"name": "accounts/other/users/eve"}),
            ("CreateUser", {"parent": "accounts/other", "user_id": "mine"}),
            ("CreateAccessKey", {"parent": "accounts/other/users/eve"}),
            ("CreateAccessKey", {"parent": "accounts/acme/users/rich"}),
            ("DeleteAccessKey", {"name": rich_key.name}), ("DeleteUser", {"name": "accounts/acme/users/rich"}),
            ("UpdateUser", {"user": {"name": "accounts/acme/users/ben", "claims": ["sub=rich"]}}),
            ("UpdateUser", {"user": {"name": "accounts/acme/users/rich", "claims": ["sub=boss"]}}),
            ("UpdateUser", {"user": {"name": "accounts/acme/users/boss", "grants": [{"role": "administrator"}]}}),
            ("UpdateUser", {"user": {"name": "accounts/acme/users/ben", "grants": [{"role": "viewer"}]}}),
            ("UpdateAccount", {"account": {"name": "accounts/acme", "disabled": True}}),
            ("CreateApiGroup", {"group_id": "mine"})):
        assert boss.refused(method, **request).code == "PERMISSION_DENIED", (method, request)
    assert [root.ListUsers(parent="accounts/-"), root.ListAccounts()] == before
    assert not callers(f"{key.name.rsplit('/', 1)[1]}:{key.secret}").WhoAmI().rights


def test_secrets_are_sealed_in_the_store_and_sealed_again(start, tmp_path, stubs, etcd):
    keys, file, token = tmp_path / "seal.keys", tmp_path / "credentials.json", tmp_path / "token"
    old, new = "1" * 64, "2" * 64
    keys.write_text(f"{old}\n")
    keys.chmod(0o600)
    file.write_text(credentials())
    token.write_text(ROOT)

    def plane(name):
        folder = tmp_path / name
        folder.mkdir()
        return start(ControlPlane(folder, store=f"etcd:{etcd.url}", extra=("--credentials-file", file, "--seal-key-file", keys)))
    first = plane("first")
    documents = [{"kind": "Account", "name": "accounts/acme"},
                 {"kind": "User", "name": "accounts/acme/users/ann", "grants": [{"role": "viewer"}]},
                 {"kind": "AccessKey", "name": "accounts/acme/users/ann/keys/AK123456"}]
    flags = ("--token-file", token)
    said = first.ctl(*flags, "apply", "-f", "-", stdin=json.dumps(documents)).stdout
    secret = said.split("secret: ")[1].split("\n")[0]
    assert len(secret) == 40 and "shown only now" in said
    said = first.ctl(*flags, "apply", "-f", "-", stdin=json.dumps(documents)).stdout
    assert said.count("unchanged") == 3 and "secret" not in said
    assert secret.encode() not in etcd.ctl("get", "--prefix", "/")
    keys.write_text(f"{new}\n{old}\n")
    second = plane("second")
    assert first.stop() == 0  # now the second one leads, and seals again what the old key had sealed
    until(lambda: "secrets sealed again under the first key" in second.log.read_text(), "the secret to be sealed again")
    keys.write_text(f"{new}\n")
    third = plane("third")
    for server in (second, third):
        ann = Callers(stubs, server, file)(f"AK123456:{secret}")
        assert ann.WhoAmI().principal == "accounts/acme/users/ann"
        ann.close()
    out = third.ctl(*flags, "get", "keys", "accounts/acme/users/ann", "-o", "yaml").stdout
    assert "AK123456" in out and "ecret" not in out
    assert third.ctl(*flags, "delete", "-f", "-", stdin=json.dumps(documents)).stdout.count("deleted") == 3
