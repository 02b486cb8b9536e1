"""JWTs of configured issuers, made by PyJWT, at the management API: who comes in, as whom, and who does not."""
import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lib.admin import Admin
from lib.servers import ControlPlane
from lib.wait import until

ISSUER, OTHER = "https://id.example.com", "https://other.example.com"
ROOT = "the token of root"
KEYS = {"rsa": rsa.generate_private_key(65537, 2048), "other": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1())}


def jwks(**keys):
    """The public halves, as an issuer publishes them."""
    listed = []
    for kid, key in keys.items():
        maker = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        if maker is jwt.algorithms.ECAlgorithm:
            numbers = key.public_key().public_numbers()
            part = {"kty": "EC", "crv": "P-256", **{name: b64(value.to_bytes(32, "big")) for name, value in
                                                   (("x", numbers.x), ("y", numbers.y))}}
        else:
            part = json.loads(maker.to_jwk(key.public_key()))
        part.pop("key_ops", None)
        listed.append({**part, "kid": kid, "use": "sig"})
    return json.dumps({"keys": listed})


def b64(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key="rsa", algorithm="RS256", kid=None, headers=None, drop=(), **claims):
    payload = {"iss": ISSUER, "aud": "penstock", "sub": "ann", "exp": int(time.time()) + 600, **claims}
    headers = {**({"kid": kid} if kid else {}), **(headers or {})}
    return jwt.encode({k: v for k, v in payload.items() if k not in drop}, KEYS[key], algorithm, headers)


def unsigned(header, signature="", **claims):
    payload = {"iss": ISSUER, "aud": "penstock", "sub": "ann", "groups": ["admins"], "exp": int(time.time()) + 600, **claims}
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload).encode())}.{signature}"


class Doors:
    """The management API as who shows a token."""

    def __init__(self, stubs, plane, folder):
        self.stubs, self.plane, self.folder, self.opened = stubs, plane, folder, []

    def __call__(self, shown):
        admin = Admin(self.stubs, grpc.insecure_channel(self.plane.address))
        method = admin.method

        def as_caller(name):
            request, call = method(name)
            return request, lambda message, **more: call(message, metadata=[("authorization", f"Bearer {shown}")], **more)
        admin.method = as_caller
        self.opened.append(admin)
        return admin


@pytest.fixture
def doors(start, tmp_path, stubs):
    (tmp_path / "jwks.json").write_text(jwks(one=KEYS["rsa"], two=KEYS["ec"]))
    (tmp_path / "other.json").write_text(jwks(one=KEYS["other"]))
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({
        "tokens": [{"sha256": hashlib.sha256(ROOT.encode()).hexdigest(), "principal": "root", "role": "administrator"}],
        "issuers": [
            {"issuer": ISSUER, "audiences": ["penstock"], "jwksFile": "jwks.json", "algorithms": ["RS256", "ES256"],
             "leewaySeconds": 0, "usersOf": ["acme"], "userClaims": ["sub", "email"],
             "grants": [{"claim": "groups=admins", "role": "administrator"}, {"claim": "groups=viewers", "role": "viewer"},
                        {"claim": "team=shop", "role": "operator", "limits": ["groups/shop"]}]},
            {"issuer": OTHER, "audiences": ["penstock"], "jwksFile": str(tmp_path / "other.json"),
             "grants": [{"role": "viewer"}]}]}))
    made = Doors(stubs, start(ControlPlane(tmp_path, extra=("--credentials-file", file, "--log-level", "debug"))), tmp_path)
    root = made(ROOT)
    for group in ("shop", "food"):
        root.CreateApiGroup(group_id=group)
    yield made
    for admin in made.opened:
        admin.close()


def test_claims_give_roles_and_limits(doors):
    admin, viewer = doors(token(groups=["x", "admins"])), doors(token("ec", "ES256", groups="viewers"))
    admin.CreateApiGroup(group_id="new")
    assert len(viewer.ListApiGroups().groups) == 4
    assert viewer.refused("CreateApiGroup", group_id="more").code == "PERMISSION_DENIED"
    shop = doors(token(kid="one", team="shop"))
    assert [g.name for g in shop.ListApiGroups().groups] == ["groups/shop"]
    shop.UpdateApiGroup(group={"name": "groups/shop", "description": "ours"})
    assert shop.refused("UpdateApiGroup", group={"name": "groups/food", "description": "ours"}).code == "PERMISSION_DENIED"
    nobody = doors(token())
    assert nobody.refused("ListApiGroups").code == "PERMISSION_DENIED"
    assert not nobody.WhoAmI().rights


def test_who_it_is(doors, tmp_path):
    end = int(time.time()) + 500
    who = doors(token(team="shop", exp=end)).WhoAmI()
    assert (who.principal, who.proof, who.expire_time.seconds) == (f"{ISSUER}#ann", "JWT", end)
    # The same name of another issuer is somebody else.
    assert doors(token("other", iss=OTHER)).WhoAmI().principal == f"{OTHER}#ann"
    file = tmp_path / "token"
    file.write_text(token(groups=["viewers"]) + "\n")
    said = doors.plane.ctl("--token-file", file, "auth", "whoami").stdout
    assert f"principal: {ISSUER}#ann\n" in said and "expires:" in said and "viewer in everywhere" not in said


def test_a_claim_stands_for_a_user_of_an_account(doors):
    root = doors(ROOT)
    root.CreateAccount(account_id="acme")
    root.CreateUser(parent="accounts/acme", user_id="ann", user={
        "claims": ["email=ann@example.com"], "grants": [{"role": "operator", "limits": ["groups/food"]}]})
    ann = doors(token(email="ann@example.com", team="shop"))
    assert ann.WhoAmI().principal == "accounts/acme/users/ann"
    assert {g.name for g in ann.ListApiGroups().groups} == {"groups/shop", "groups/food"}  # its own, and the issuer's
    assert doors(token("other", iss=OTHER, email="ann@example.com")).WhoAmI().principal == f"{OTHER}#ann"  # not for acme
    root.UpdateUser(user={"name": "accounts/acme/users/ann", "disabled": True}, update_mask={"paths": ["disabled"]})
    assert ann.refused("WhoAmI").code == "UNAUTHENTICATED"


def hs256_by_public_key():
    """The confusion of old: the public key, which everybody has, as the secret of an HMAC."""
    secret = KEYS["rsa"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = unsigned({"alg": "HS256", "typ": "JWT", "kid": "one"})[:-1]
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), 'sha256').digest())}"


def with_another_payload():
    header, _, signature = token().split(".")
    return ".".join((header, unsigned({}).split(".")[1], signature))


HOSTILE = {
    "expired": lambda: token(groups=["admins"], exp=int(time.time()) - 5),
    "without an end": lambda: token(groups=["admins"], drop=("exp",)),
    "not yet": lambda: token(groups=["admins"], nbf=int(time.time()) + 300),
    "a foreign key": lambda: token("other", groups=["admins"]),
    "a foreign key under our kid": lambda: token("other", kid="one", groups=["admins"]),
    "an unknown kid": lambda: token(kid="three", groups=["admins"]),
    "the kid of another kind": lambda: token(kid="two", groups=["admins"]),
    "a foreign issuer": lambda: token(iss="https://evil.example.com", groups=["admins"]),
    "no issuer": lambda: token(drop=("iss",), groups=["admins"]),
    "another issuer's key": lambda: token("other", groups=["admins"], kid="one"),
    "another issuer's name": lambda: token(iss=OTHER, groups=["admins"]),
    "for somebody else": lambda: token(aud="shop", groups=["admins"]),
    "for nobody": lambda: token(drop=("aud",), groups=["admins"]),
    "no subject": lambda: token(drop=("sub",), groups=["admins"]),
    "alg none": lambda: unsigned({"alg": "none"}),
    "alg None": lambda: unsigned({"alg": "None", "typ": "JWT"}, "AAAA"),
    "no alg": lambda: unsigned({"typ": "JWT"}, "AAAA"),
    "hmac by the public key": hs256_by_public_key,
    "an algorithm that is not allowed": lambda: token(algorithm="RS512", groups=["admins"]),
    "its own key": lambda: token("other", groups=["admins"], headers={"jwk": json.loads(jwks(x=KEYS["other"]))["keys"][0]}),
    "critical extensions": lambda: token(groups=["admins"], headers={"crit": ["exp"]}),
    "another type": lambda: token(groups=["admins"], headers={"typ": "logout+jwt"}),
    "another payload": with_another_payload,
    "too large": lambda: token(groups=["admins"], padding="x" * 6200),
    "no JSON": lambda: "AAAA.AAAA.AAAA",
    "empty parts": lambda: "..",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_wrong_comes_not_in(doors, case):
    shown = HOSTILE[case]()
    for method, request in (("ListApiGroups", {}), ("WhoAmI", {}), ("CreateApiGroup", {"group_id": "evil"})):
        refusal = doors(shown).refused(method, **request)
        assert refusal.code == "UNAUTHENTICATED" and "JWT" in refusal.message, (case, refusal)
    assert "groups/evil" not in [g.name for g in doors(ROOT).ListApiGroups().groups]
    log = doors.plane.log.read_text()
    assert shown not in log and (len(shown) < 40 or shown[-40:] not in log)


def test_keys_are_rotated_by_the_file(doors):
    old, new = doors(token(groups=["viewers"])), doors(token("other", groups=["viewers"]))
    old.ListApiGroups()
    assert new.refused("ListApiGroups").code == "UNAUTHENTICATED"
    file = doors.folder / "jwks.json"
    file.write_text(jwks(one=KEYS["rsa"], next=KEYS["other"]))
    new.ListApiGroups()
    old.ListApiGroups()
    file.write_text("{")
    new.ListApiGroups()
    until(lambda: "credentials file not read, keeping the former" in doors.plane.log.read_text(), "the broken file in the log")
    file.write_text(jwks(next=KEYS["other"]))
    assert old.refused("ListApiGroups").code == "UNAUTHENTICATED"
    new.ListApiGroups()
