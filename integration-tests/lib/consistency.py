"""Whether what is stored is consistent: read past the management API from etcd or out of the SQLite file, held against the
rules of controlplane/service/README.md, and against what the API lists. Each check returns what is wrong, a line each.

    contents = Contents(stubs, etcd_dump(etcd))          # or sqlite_dump(file) of a control plane that does not run
    assert not contents.problems() + contents.audit_problems() + contents.api_problems(admin)
"""
import base64
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import defaultdict, namedtuple

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

ROOT, AUDIT = "/penstock/v1/", "/penstock/audit/"
# Of each collection: the pattern of its names, the proto file and the message.
KINDS = {
    "groups": ("groups/{}", "api_group", "ApiGroup"), "domains": ("groups/{}/domains/{}", "domain", "Domain"),
    "environments": ("environments/{}", "environment", "Environment"), "channels": ("channels/{}", "channel", "Channel"),
    "apis": ("groups/{}/apis/{}", "api", "Api"), "releases": ("groups/{}/apis/{}/releases/{}-{}", "release", "Release"),
    "publications": ("groups/{}/apis/{}/publications/{}", "release", "Publication"), "apps": ("apps/{}", "app", "App"),
    "codes": ("apps/{}/codes/{}", "app", "AppCode"),
    "authorizations": ("apps/{}/authorizations/{}", "app", "Authorization"),
    "policies": ("policies/{}", "policy", "Policy"), "bindings": ("policies/{}/bindings/{}", "policy", "PolicyBinding"),
    "certificates": ("certificates/{}", "certificate", "Certificate"),
    "variables": ("groups/{}/variables/{}", "variable", "Variable"), "accounts": ("accounts/{}", "account", "Account"),
    "users": ("accounts/{}/users/{}", "account", "User"), "keys": ("accounts/{}/users/{}/keys/{}", "account", "AccessKey"),
}
# List methods, with the parent that means all; "": there is none.
LISTS = {"groups": ("ListApiGroups", ""), "domains": ("ListDomains", "groups"), "environments": ("ListEnvironments", ""),
         "channels": ("ListChannels", ""), "apis": ("ListApis", "groups"), "releases": ("ListReleases", "apis"),
         "apps": ("ListApps", ""), "codes": ("ListAppCodes", "apps"), "authorizations": ("ListAuthorizations", "apps"),
         "policies": ("ListPolicies", ""), "bindings": ("ListPolicyBindings", "policies"),
         "certificates": ("ListCertificates", ""), "variables": ("ListVariables", "groups"),
         "accounts": ("ListAccounts", ""), "users": ("ListUsers", "accounts"), "keys": ("ListAccessKeys", "users")}
SEALED = {"certificates": "sealed_private_key", "keys": "sealed_secret", "apps": "sealed_secret"}
SEEDED = {"groups/DEFAULT", "environments/RELEASE"}

Entry = namedtuple("Entry", "value mod create")
Stored = namedtuple("Stored", "kind key message mod")


def etcd_dump(etcd):
    """{key: Entry} of one revision of etcd."""
    found = json.loads(etcd.ctl("get", "--prefix", "/penstock/", "-w", "json")).get("kvs", [])
    return {base64.b64decode(kv["key"]).decode(): Entry(base64.b64decode(kv.get("value", "")), kv["mod_revision"],
                                                        kv["create_revision"]) for kv in found}


def sqlite_dump(file):
    """The same of a file that nobody has open: a copy is read, for reading takes part in writing of a log."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            if (source := file.with_name(file.name + suffix)).exists():
                shutil.copy(source, folder)
        base = sqlite3.connect(f"{folder}/{file.name}")
        assert base.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        rows = base.execute("SELECT key, value, mod_revision, create_revision FROM entry WHERE ended IS NULL").fetchall()
        newest, told = base.execute("SELECT (SELECT max(mod_revision) FROM entry), (SELECT revision FROM meta)").fetchone()
        base.close()
    assert (newest or 0) <= told, f"a row of revision {newest} in a store of revision {told}"
    return {key.decode(): Entry(value, mod, create) for key, value, mod, create in rows}


def parent_of(name):
    return name.rsplit("/", 2)[0] if name.count("/") > 1 else None


def last_of(name):
    return name.rsplit("/", 1)[1]


def collection_of(name):
    return name.split("/")[-2]


def key_of(name):
    """"groups/g/apis/a" to "apis/g/a": behind the root."""
    words = name.split("/")
    ids = words[1::2]
    if words[-2] == "releases":
        environment, number = ids.pop().rsplit("-", 1)
        ids += [environment, f"{int(number):019}"]
    return "/".join([words[-2], *ids])


def name_of(tail):
    """The other way round; None: it is no resource's."""
    word, *ids = tail.split("/")
    if word not in KINDS or KINDS[word][0].count("{}") != len(ids):
        return None
    return KINDS[word][0].format(*ids[:-1], int(ids[-1])) if word == "releases" else KINDS[word][0].format(*ids)


def route_of(api, environment, frontend):
    """The value of the index of routes for a definition."""
    method = frontend.DESCRIPTOR.fields_by_name["method"].enum_type.values_by_number[frontend.method].name[len("HTTP_METHOD_"):]
    is_prefix = frontend.match_mode == 2
    path = frontend.path[:-1] if is_prefix and frontend.path.endswith("/") else frontend.path
    segments = [("{+}" if s.endswith("+}") else "{}") if s.startswith("{") and s.endswith("}") else s
                for s in path.split("/")[1:]]
    shape = ("P" if is_prefix else "E") + "".join("/" + segment for segment in segments)
    return f"{api.split('/')[1]}/{last_of(environment)}/{method}/{hashlib.sha256(shape.encode()).hexdigest()}"


class Contents:
    """What a dump holds: resources by name, and the keys beside them."""

    def __init__(self, stubs, dump):
        self.stubs, self.dump, self.wrong = stubs, dump, []
        self.resources, self.index, self.guards, self.events = {}, {}, set(), {}
        self.api_type = stubs.module("penstock.admin.v1.api").Api
        for key, entry in dump.items():
            self.sort(key, entry)

    def sort(self, key, entry):
        if key.startswith(AUDIT + "events/"):
            self.events[key] = entry
        if not key.startswith(ROOT):
            return
        tail = key[len(ROOT):]
        place, _, rest = tail.partition("/")
        if place == "index":
            self.index[rest] = entry.value.decode()
        elif place == "guards":
            self.guards.add(rest)
        elif place not in ("limits", "ticketKeys", "settings"):
            self.take(tail, entry)

    def take(self, tail, entry):
        name = name_of(tail)
        if not name:
            self.wrong.append(f"{tail} is no key of a resource")
            return
        _, file, message = KINDS[collection_of(name)]
        stored = getattr(self.stubs.module(f"penstock.admin.v1.{file}"), message).FromString(entry.value)
        if stored.name != name:
            self.wrong.append(f"{tail} holds {stored.name!r}")
        self.resources[name] = Stored(collection_of(name), tail, stored, entry.mod)

    def of(self, kind):
        return {name: stored.message for name, stored in self.resources.items() if stored.kind == kind}

    def get(self, name):
        return self.resources[name].message if name in self.resources else None

    # ---- what there should be beside the resources

    def references(self):
        """(from, to) of all that is recorded as a reference."""
        for name, api in self.of("apis").items():
            yield from self.backend(name, api)
        for name, release in self.of("releases").items():
            yield from self.backend(name, self.api_type.FromString(release.definition))
        for name, publication in self.of("publications").items():
            if publication.release:
                yield name, f"environments/{last_of(name)}"
        for name in self.of("variables"):
            yield name, f"environments/{last_of(name).split('.')[0]}"
        for name, bound in {**self.of("authorizations"), **self.of("bindings")}.items():
            yield name, bound.api
            yield name, bound.environment
        for name, domain in self.of("domains").items():
            yield from ((name, certificate) for certificate in domain.certificates)

    @staticmethod
    def backend(name, definition):
        if definition.backend.http.channel:
            yield name, definition.backend.http.channel
        if definition.backend.http.certificate:
            yield name, definition.backend.http.certificate

    def unique(self):
        """(index and value, owner) of all values that one resource may have."""
        for name in self.of("domains"):
            yield f"domains/{last_of(name)}", name
        for name, group in self.of("groups").items():
            if group.debug_domain:
                yield f"domains/{group.debug_domain}", name
        for name, code in self.of("codes").items():
            yield f"codes/{code.digest}", name
        for name, app in self.of("apps").items():
            if app.key:
                yield f"appKeys/{app.key}", name
        for name in self.of("keys"):
            yield f"accessKeys/{last_of(name)}", name
        for name, user in self.of("users").items():
            yield from ((f"claims/{name.split('/')[1]}/{claim}", name) for claim in user.claims)
        for name, one in self.of("authorizations").items():
            yield f"authorizations/{parent_of(name)}/{one.api}@{last_of(one.environment)}", name
        for name, binding in self.of("bindings").items():
            policy = self.get(parent_of(name))
            yield f"bindings/{policy.WhichOneof('kind') if policy else '?'}/{binding.api}@{last_of(binding.environment)}", name
        for name, api in self.of("apis").items():
            yield f"routes/{route_of(name, 'environments/-', api.frontend)}", name
        for name, publication in self.of("publications").items():
            release = self.get(publication.release)
            if release:
                frontend = self.api_type.FromString(release.definition).frontend
                yield f"routes/{route_of(parent_of(name), release.environment, frontend)}", parent_of(name)

    def problems(self):
        wanted = dict(self.unique())
        if len(wanted) != len(list(self.unique())):
            self.wrong.append("two resources have one unique value")
        for name, to in self.references():
            wanted[f"refs/{key_of(to)}/{key_of(name)}"] = name
            if to not in self.resources:
                self.wrong.append(f"{name} refers to {to}, which is not there")
        self.wrong += [f"index {key} is missing for {owner}" for key, owner in wanted.items() if key not in self.index]
        self.wrong += [f"index {key} says {owner}, not {wanted.get(key)}" for key, owner in self.index.items()
                       if wanted.get(key) != owner]
        self.wrong += [f"{name} stands under nothing" for name in self.resources
                       if parent_of(name) and parent_of(name) not in self.resources]
        self.wrong += [f"a guard of nothing: {guard}" for guard in self.guards if name_of(guard) not in self.resources]
        self.publications()
        return self.wrong

    def publications(self):
        """Numbers count without a gap up to the last one that was given; what went of them are the oldest."""
        numbers = defaultdict(list)
        for name, release in self.of("releases").items():
            numbers[f"{parent_of(name)}/publications/{last_of(release.environment)}"].append(release.number)
        for name, publication in self.of("publications").items():
            have = sorted(numbers.pop(name, []))
            if have != list(range(publication.last_number - len(have) + 1, publication.last_number + 1)):
                self.wrong.append(f"{name} has given {publication.last_number} numbers and has releases {have}")
            if publication.release and not self.get(publication.release):
                self.wrong.append(f"{name} makes {publication.release} effective, which is not there")
        self.wrong += [f"releases {have} of {name}, which is not there" for name, have in numbers.items()]

    def is_sealed(self, name):
        """It holds a secret: the control plane writes it once more when keys rotate, without an event."""
        stored = self.resources[name]
        return bool(getattr(stored.message, SEALED.get(stored.kind, ""), b""))

    # ---- the audit trail

    def audit_problems(self):
        """Every resource is as its last event says, and each event begins where the one before has ended."""
        event_type = self.stubs.module("penstock.admin.v1.audit_event").AuditEvent
        wrong, last = [], {}
        for key, entry in sorted(self.events.items(), key=lambda item: item[1].mod):
            event = event_type.FromString(entry.value)
            if event.code or event.truncated:
                continue
            for change in event.changes:
                before, after = (json.loads(text) if text else None for text in (change.before, change.after))
                _, known = last.get(change.resource, (0, None))
                if before != known and change.resource not in SEEDED and not (before is None and after is None):
                    wrong.append(f"{key}: {change.resource} was {known}, and the event says {before}")
                last[change.resource] = entry.mod, after
        for name, stored in self.resources.items():
            mod, after = last.pop(name, (0, None))
            if name in SEEDED:
                continue
            if after is None or (mod != stored.mod and not self.is_sealed(name)):
                wrong.append(f"{name} was written at {stored.mod}, and its last event is of {mod}: {after}")
            elif not is_told(after, json_format.MessageToDict(stored.message), stored.message.DESCRIPTOR):
                wrong.append(f"{name} is not what its last event says: {after}")
        return wrong + [f"{name} is gone without an event" for name, (_, after) in last.items()
                        if after is not None and collection_of(name) in KINDS]

    # ---- the API

    def api_problems(self, admin):
        """What the API lists is what is stored, at the same revision."""
        wrong = []
        for kind in LISTS:
            listed = self.listed(admin, kind)
            stored = {name: f'"{one.mod}"' for name, one in self.resources.items() if one.kind == kind}
            for name in stored:
                if name in listed and self.is_sealed(name):
                    listed[name] = stored[name]
            wrong += [f"{name} is listed as {listed.get(name)} and stored as {stored.get(name)}"
                      for name in listed.keys() | stored.keys()
                      if name not in listed or name not in stored or listed[name] != stored[name]]
        return wrong

    def listed(self, admin, kind):
        method, under = LISTS[kind]
        found = {}
        for parent in {"": [None], "groups": ["groups/-"]}.get(under) or self.of(under):
            for one in pages(admin, method, **({"parent": parent} if parent else {})):
                found[one.name] = one.etag
        return found


def pages(admin, method, **fields):
    token = ""
    while True:
        page = getattr(admin, method)(page_size=1000, page_token=token, **fields)
        lists = [f for f in page.DESCRIPTOR.fields if f.label == FieldDescriptor.LABEL_REPEATED]
        yield from getattr(page, lists[0].name)
        token = page.next_page_token
        if not token:
            return


def is_told(told, stored, descriptor):
    """An event leaves bytes out and hides secrets; the rest is what is stored."""
    fields = {field.json_name: field for field in descriptor.fields}
    if isinstance(stored.get("labels"), list):  # a map on the wire as well as in JSON
        stored = dict(stored, labels={label["key"]: label["value"] for label in stored["labels"]})
    for name in told.keys() | stored.keys():
        field = fields.get(name)
        is_bytes = field is not None and field.type == FieldDescriptor.TYPE_BYTES
        if is_bytes or told.get(name) == "(hidden)" or told.get(name) == stored.get(name):
            continue
        if name == "labels" or not isinstance(told.get(name), dict) or not isinstance(stored.get(name), dict):
            return False
        if not is_told(told[name], stored[name], field.message_type):
            return False
    return True
