"""OpenAPI documents: what becomes of other people's, what is refused, and that exports are what an outside validator takes."""
import json
import pathlib
import subprocess

import pytest

from lib.node import node

DOCUMENTS = pathlib.Path(__file__).parent / "openapi"
CREATED, UPDATED, UNCHANGED, KEPT, REFUSED = range(1, 6)
MERGE, OVERRIDE = 1, 2
V2, V3 = 1, 2
JSON, YAML = 1, 2
MOCK = {"type": "MOCK", "mockEndpoints": {"result-content": "hello"}}


def text_of(name):
    return (DOCUMENTS / f"{name}.yaml").read_text(encoding="utf8")


def document(paths, **more):
    return json.dumps({"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": paths, **more})


def operation(**more):
    return {"responses": {"200": {"description": "OK"}}, "x-apigateway-backend": MOCK, **more}


@pytest.fixture
def load(admin):
    """load("shop"): the rows by method and path, and the whole answer as `load.last`."""
    def import_document(name, group="groups/g", **options):
        text = name if "\n" in name or name.startswith("{") else text_of(name)
        load_all.last = admin.ImportOpenApi(parent=group, document=text, create_group=True, **options)
        return {f"{row.method} {row.path}": row for row in load_all.last.outcomes}
    load_all = import_document
    return load_all


def apis_of(admin, group):
    """Definitions by id."""
    found = {}
    for api in admin.ListApis(parent=group, page_size=1000).apis:
        name = api.name.rsplit("/", 1)[1]
        for field in ("name", "create_time", "update_time", "etag", "publications"):
            api.ClearField(field)
        found[name] = api
    return found


# ---- other people's documents


def test_every_operation_of_a_swagger_document_becomes_a_draft(admin, load):
    rows = load("petstore")
    assert {row.result for row in rows.values()} == {CREATED} and load.last.created == len(rows) == 11
    api = admin.GetApi(name=rows["GET /animal/{animalId}"].api)
    assert (api.frontend.path, api.frontend.method, api.frontend.protocol) == ("/v2/animal/{animalId}", 1, 3)
    assert (api.backend.http.address, api.backend.http.scheme, api.backend.http.path) == ("shelter.example.com", 2, "")
    assert [(p.name, p.location, p.type, p.required) for p in api.request_parameters] == [("animalId", 1, 2, True)]
    assert api.name == "groups/g/apis/getAnimalById" and list(api.tags) == ["animal"]
    assert list(rows["GET /animal/{animalId}"].notes) == ['security "api_key" (apiKey): left to the backend', 'tag "2nd" left out']
    assert list(admin.GetApi(name=rows["GET /keeper/login"].api).tags) == ["Keeper-Accounts"]
    limit = admin.GetApi(name=rows["GET /animal/findByStatus"].api).request_parameters[0]
    assert (limit.name, limit.min_number, limit.max_number, limit.default_value, limit.validate) == ("limit", 1, 100, "20", True)


def test_every_operation_of_an_openapi_3_document_has_a_row(admin, load):
    rows = load("shop")
    refused = {key: row.failure.message for key, row in rows.items() if row.result == REFUSED}
    assert set(refused) == {"TRACE /orders/{orderId}", "GET /articles/{sku}.json", " /elsewhere", "GET /broken", "POST /tokens"}
    assert '"other.yaml#/paths/elsewhere" leads out of the document' in refused[" /elsewhere"]
    assert '"#/components/parameters/Nothing" leads to nothing' in refused["GET /broken"]
    assert '"X-Auth-Token"' in refused["POST /tokens"] and '"{sku}.json"' in refused["GET /articles/{sku}.json"]
    assert (load.last.created, load.last.refused) == (8, 5)
    listed = admin.GetApi(name="groups/g/apis/orders-list")
    assert (listed.display_name, listed.description) == ("orders/list", "Lists orders")
    assert (listed.backend.http.address, listed.backend.http.path) == ("eu.shop.example.com:8443", "/api/v3/orders")
    assert listed.frontend.path == "/orders" and listed.frontend.protocol == 2
    parameters = {p.name: p for p in listed.request_parameters}
    assert sorted(parameters) == ["Accept-Language", "min", "page_size", "since", "state"]
    assert list(parameters["state"].enumerations) == ["open", "paid", "sent"] and parameters["state"].default_value == "open"
    assert parameters["min"].min_number > 0 and parameters["min"].max_number == 1.7976931348623157e308
    notes = " | ".join(rows["GET /orders"].notes)
    for said in ('"filter" left out', '"page[number]" left out', 'cookie "session"', '"Authorization" left out', 'security "bearer"'):
        assert said in notes
    assert admin.GetApi(name=rows["GET /articles/{sku}/reviews"].api).backend.http.address == "reviews.example.com"
    assert len(admin.GetApi(name="groups/g/apis/orders-create").description) <= 255


def test_the_extensions_of_the_reference_product(admin, load):
    admin.CreateChannel(channel_id="maps", channel={"port": 80, "members": [{"host": "10.0.0.1", "weight": 1}]})
    rows = load("gateway")
    weather = admin.GetApi(name=rows["GET /weather/{city}"].api)
    assert weather.authentication.type == 2 and weather.authentication.app_code
    assert (weather.backend.http.address, weather.backend.http.path, weather.backend.http.retry_count) == ("#host#", "/v1/{where}", -1)
    assert [(p.name, p.location, p.origin, p.value) for p in weather.backend_parameters] == [
        ("where", 1, 1, "city"), ("X-Source", 3, 2, "gateway"), ("caller", 2, 3, "$context.sourceIp")]
    assert [(p.name, p.pass_through, p.validate) for p in weather.request_parameters] == [("city", True, False), ("days", False, True)]
    maps = admin.GetApi(name=rows["ANY /maps/{rest+}"].api)
    assert (maps.backend.http.channel, maps.frontend.match_mode, maps.frontend.method) == ("channels/maps", 2, 8)
    assert maps.backend.http.timeout.seconds == 30 and maps.request_parameters[0].name == "rest"
    said = {key: (row.failure.code, row.failure.message) for key, row in rows.items() if row.result == REFUSED}
    assert {key: code for key, (code, _) in said.items()} == dict.fromkeys(
        ["GET /hello", "POST /hello", "PUT /hello", "DELETE /hello"], "UNIMPLEMENTED")
    for key, field in (("GET", "cors"), ("POST", "FUNCTION"), ("PUT", "authentication.type"), ("DELETE", "backend-policies")):
        assert field in said[f"{key} /hello"][1]
    notes = list(rows["GET /weather/{city}"].notes)
    assert notes == ['policy "slow" not bound: no environment was given', 'policy "office" not bound: no environment was given']


def test_a_draft_with_parameters_is_refused_by_name_when_it_is_published(admin, load):
    load("petstore")
    refusal = admin.refused("PublishApi", name="groups/g/apis/getAnimalById")
    assert (refusal.code, list(refusal.fields)) == ("UNIMPLEMENTED", ["request_parameters"]) and "animalId" in refusal.message


def test_what_was_imported_without_parameters_is_published_and_answers(gateway, load):
    rows = load("petstore", group=gateway.group("g"), skip_parameters=True, replace_backends=True,
                backend={"http": {"address": gateway.backend.address, "path": "/inner/"}})
    assert {row.result for row in rows.values()} == {CREATED}
    gateway.controlplane.ctl("publish", "--group", "g", "--wait")
    assert gateway.call("/v2/animal/7?unknown=1").status == 200
    assert gateway.backend.requests[-1]["path"] == "/inner/animal/7?unknown=1"
    assert gateway.call("/v2/animal/findByStatus?status=sold").json()["path"] == "/inner/animal/findByStatus?status=sold"


# ---- what is there already


def test_importing_twice_changes_nothing(admin, load):
    load("shop")
    before = admin.ListApis(parent="groups/g").apis
    for mode in (MERGE, OVERRIDE):
        rows = load("shop", mode=mode)
        assert (load.last.unchanged, load.last.refused) == (8, 5) and rows["GET /orders"].result == UNCHANGED
        assert admin.ListApis(parent="groups/g").apis == before


def test_merge_keeps_what_is_there_and_override_replaces_it(admin, load):
    load(document({"/a": {"get": operation(operationId="a", description="one")}}))
    changed = document({"/a": {"get": operation(operationId="renamed", description="two")}, "/b": {"get": operation()}})
    rows = load(changed)
    assert (rows["GET /a"].result, rows["GET /b"].result) == (KEPT, CREATED)
    assert rows["GET /a"].api == "groups/g/apis/a" and admin.GetApi(name="groups/g/apis/a").description == "one"
    rows = load(changed, mode=OVERRIDE)
    assert (rows["GET /a"].result, rows["GET /b"].result) == (UPDATED, UNCHANGED)
    assert admin.GetApi(name="groups/g/apis/a").description == "two"


def test_override_keeps_what_the_document_says_nothing_of(admin, load):
    bare = {"responses": {"200": {"description": "OK"}}}
    load(document({"/a": {"get": {**bare, "operationId": "a"}}}))
    admin.UpdateApi(api={"name": "groups/g/apis/a", "labels": [{"key": "team", "value": "x"}], "backend": {"http": {"address": "b:80"}},
                         "authentication": {"type": 2, "app_code": True}})
    rows = load(document({"/a": {"get": {**bare, "operationId": "a", "description": "new"}}}), mode=OVERRIDE)
    api = admin.GetApi(name="groups/g/apis/a")
    assert rows["GET /a"].result == UPDATED and api.description == "new"
    assert (api.backend.http.address, api.authentication.app_code, api.labels[0].key) == ("b:80", True, "team")
    load(document({"/a": {"get": {**bare, "operationId": "a", "security": []}}}), mode=OVERRIDE)
    assert admin.GetApi(name="groups/g/apis/a").authentication.type == 1


def test_of_two_that_are_the_same_the_first_wins(admin, load):
    rows = load(document({"/a/{x}": {"get": operation()}, "/a/{y}": {"get": operation(), "put": operation()}}))
    assert [rows[key].result for key in ("GET /a/{x}", "GET /a/{y}", "PUT /a/{y}")] == [CREATED, REFUSED, CREATED]
    assert rows["GET /a/{y}"].failure.apig_code == "APIG.3301" and "GET /a/{x}" in rows["GET /a/{y}"].failure.message


def test_an_operation_id_that_another_api_has_is_refused(admin, load):
    load(document({"/a": {"get": operation(operationId="a")}}))
    row = load(document({"/b": {"get": operation(operationId="a")}}), mode=OVERRIDE)["GET /b"]
    assert (row.result, row.failure.code, row.failure.apig_code) == (REFUSED, "ALREADY_EXISTS", "APIG.3202")
    assert "groups/g/apis/a" in row.failure.message and admin.GetApi(name="groups/g/apis/a").frontend.path == "/a"


def test_validate_only_says_the_same_and_writes_nothing(admin, load):
    would = load("shop", validate_only=True)
    assert admin.refused("GetApiGroup", name="groups/g").code == "NOT_FOUND"
    admin.CreateApiGroup(group_id="g")
    again = load("shop", validate_only=True)
    assert not admin.ListApis(parent="groups/g").apis
    done = load("shop")
    for rows in (would, again):
        assert {key: (row.result, row.api) for key, row in rows.items()} == {key: (row.result, row.api) for key, row in done.items()}


def test_strict_refuses_what_would_be_left_out(admin, load):
    rows = load("petstore", strict=True)
    assert {key for key, row in rows.items() if row.result == CREATED} == {
        "GET /keeper/{username}", "HEAD /keeper/{username}", "OPTIONS /keeper/{username}"}
    failure = rows["GET /animal/findByStatus"].failure
    assert (failure.code, failure.reason) == ("FAILED_PRECONDITION", "STRICT") and '"status"' in failure.message


def test_without_any_backend_a_draft_says_so(admin, load):
    row = load(document({"/a": {"get": {"responses": {}}}}))["GET /a"]
    assert list(row.notes) == ["no backend: answers 501 until it gets one"]
    assert admin.GetApi(name=row.api).backend.mock.status == 501


# ---- there and back


@pytest.fixture
def full(admin, load):
    """A group with everything that a draft can say."""
    admin.CreateChannel(channel_id="maps", channel={"port": 80, "members": [{"host": "10.0.0.1", "weight": 1}]})
    for name in ("petstore", "shop", "gateway"):
        load(name)
    common = {"parent": "groups/g"}
    admin.CreateApi(**common, api_id="x1", api={
        "display_name": "GET:/x(1)", "labels": [{"key": "a", "value": "b"}], "version": "v1", "tags": ["t1", "t2"],
        "frontend": {"method": 1, "path": "/x/{one}", "protocol": 1},
        "authentication": {"type": 2, "app_code": True, "app_code_over_http": True},
        "backend": {"http": {"address": "b", "host_header": "h.example.com", "protocol": 2, "method": 2, "retry_count": 3,
                             "timeout": {"nanos": 250000000}}}})
    admin.CreateApi(**common, api_id="x2", api={
        "frontend": {"method": 2, "path": "/x/{other}", "protocol": 3},
        "request_parameters": [
            {"name": "other", "location": 1, "type": 1, "validate": True},
            {"name": "n", "location": 2, "type": 2, "min_number": -1.5, "max_number": 1e300, "default_value": "1.50"},
            {"name": "s", "location": 3, "type": 1, "min_length": 2, "enumerations": ["ab", "yes", "010"], "validate": True,
             "pass_through": True}],
        "backend": {"http": {"channel": "channels/maps", "path": "/{to}"}},
        "backend_parameters": [{"name": "to", "location": 1, "origin": 1, "value": "other", "description": "d"}]})
    admin.CreateApi(**common, api_id="x3", api={
        "frontend": {"method": 8, "path": "/y"},
        "backend": {"mock": {"status": 503, "body": b"\xff\x00", "headers": [{"name": "X-A", "value": "a: b"}]}}})
    return apis_of(admin, "groups/g")


@pytest.mark.parametrize("version, format", [(V2, JSON), (V2, YAML), (V3, JSON), (V3, YAML)])
def test_an_export_is_valid_and_gives_the_same_apis_elsewhere(admin, load, full, tmp_path, version, format):
    made = admin.ExportOpenApi(parent="groups/g", version=version, format=format)
    assert not made.skipped and made.exported == len(full)
    path = tmp_path / ("document.json" if format == JSON else "document.yaml")
    path.write_text(made.document, encoding="utf8")
    judged = node("validate_openapi.js", path)
    assert judged["valid"], judged["errors"]
    assert judged["version"] == ("2.0" if version == V2 else "3.0.3")
    rows = load(made.document, group="groups/elsewhere")
    assert {row.result for row in rows.values()} == {CREATED}
    assert apis_of(admin, "groups/elsewhere") == full
    load(made.document, mode=OVERRIDE)
    assert load.last.unchanged == len(full)


def test_what_callers_have_to_know_has_no_backends(admin, full, tmp_path):
    text = admin.ExportOpenApi(parent="groups/g", scope=1).document
    (tmp_path / "document.json").write_text(text, encoding="utf8")
    assert node("validate_openapi.js", tmp_path / "document.json")["valid"]
    assert "10.0.0.1" not in text and "channels" not in text and "x-apigateway-backend" not in text and "h.example.com" not in text


def test_an_environment_exports_what_is_published_there(admin, load):
    load(document({"/a": {"get": operation(operationId="a")}, "/b": {"get": operation(operationId="b")}}))
    admin.PublishApi(name="groups/g/apis/a")
    admin.UpdateApi(api={"name": "groups/g/apis/a", "description": "only a draft"})
    made = admin.ExportOpenApi(parent="groups/g", environment="environments/RELEASE")
    assert list(json.loads(made.document)["paths"]) == ["/a"] and "only a draft" not in made.document
    refusal = admin.refused("ExportOpenApi", parent="groups/g", environment="environments/RELEASE", names=["groups/g/apis/b"])
    assert (refusal.code, "groups/g/apis/b is not published" in refusal.message) == ("NOT_FOUND", True)
    named = admin.ExportOpenApi(parent="groups/g", names=["groups/g/apis/b"])
    assert list(json.loads(named.document)["paths"]) == ["/b"]


def test_what_a_document_cannot_say_is_skipped_by_name(admin):
    admin.CreateApiGroup(group_id="g")
    admin.CreateApi(parent="groups/g", api_id="a", api={"frontend": {"method": 1, "path": "/a"}, "backend": {"mock": {}}})
    admin.CreateApi(parent="groups/g", api_id="b", api={"frontend": {"method": 1, "path": "/a", "match_mode": 2}, "backend": {"mock": {}}})
    admin.CreateApi(parent="groups/g", api_id="c", api={"frontend": {"protocol": 5, "path": "/s.S"}, "backend": {"grpc": {"address": "b"}}})
    made = admin.ExportOpenApi(parent="groups/g")
    assert made.exported == 1
    assert [(skip.name, skip.failure.code) for skip in made.skipped] == [
        ("groups/g/apis/b", "ALREADY_EXISTS"), ("groups/g/apis/c", "UNIMPLEMENTED")]


# ---- policies


def policies(limit=100, **more):
    return {"x-apigateway-ratelimits": {"slow": {"api-limit": limit, "app-limit": 10, "interval": 2, "unit": "MINUTE", "shared": True,
                                                 "user-limit": 0, "ip-limit": 0, "special": []}},
            "x-apigateway-access-controls": {"office": {"acl-type": "DENY", "entity-type": "IP", "value": "10.0.0.0/8, 192.0.2.7"}}, **more}


def governed(**more):
    return document({"/a": {"get": operation(**{"operationId": "a", "x-apigateway-ratelimit": "slow", "x-apigateway-access-control": "office",
                                               "x-apigateway-plugins": ["headers"]})}}, **{**policies(), **more})


def test_policies_are_made_and_bound_in_an_environment(admin, load):
    admin.CreatePolicy(policy_id="headers", policy={"response_headers": {"headers": [{"name": "X-A", "value": "b", "action": 1}]}})
    row = load(governed(), environment="environments/RELEASE")["GET /a"]
    assert row.result == CREATED and not row.notes
    assert [(p.name, p.result, p.policy) for p in load.last.policies] == [("slow", CREATED, "policies/slow"), ("office", CREATED, "policies/office")]
    throttle = admin.GetPolicy(name="policies/slow").throttle
    assert (throttle.api_limit, throttle.app_limit, throttle.interval, throttle.unit, throttle.scope) == (100, 10, 2, 2, 2)
    assert list(admin.GetPolicy(name="policies/office").ip_access.addresses) == ["10.0.0.0/8", "192.0.2.7"]
    for policy in ("slow", "office", "headers"):
        assert [b.api for b in admin.ListPolicyBindings(parent=f"policies/{policy}").bindings] == ["groups/g/apis/a"]
    again = load(governed(**policies(limit=70)), environment="environments/RELEASE")["GET /a"]
    assert not again.notes and [p.result for p in load.last.policies] == [KEPT, KEPT]
    load(governed(**policies(limit=70)), environment="environments/RELEASE", mode=OVERRIDE)
    assert [p.result for p in load.last.policies] == [UPDATED, UNCHANGED]
    assert admin.GetPolicy(name="policies/slow").throttle.api_limit == 70


def test_an_extended_export_has_the_policies(admin, load, tmp_path):
    admin.CreatePolicy(policy_id="headers", policy={"response_headers": {"headers": [{"name": "X-A", "value": "b", "action": 1}]}})
    load(governed(), environment="environments/RELEASE")
    admin.PublishApi(name="groups/g/apis/a")
    for version in (V2, V3):
        made = json.loads(admin.ExportOpenApi(parent="groups/g", environment="environments/RELEASE", scope=3, version=version).document)
        (tmp_path / "document.json").write_text(json.dumps(made), encoding="utf8")
        assert node("validate_openapi.js", tmp_path / "document.json")["valid"]
        said = made["paths"]["/a"]["get"]
        assert (said["x-apigateway-ratelimit"], said["x-apigateway-access-control"], said["x-apigateway-plugins"]) == ("slow", "office", ["headers"])
        assert made["x-apigateway-ratelimits"] == policies()["x-apigateway-ratelimits"]
        assert made["x-apigateway-access-controls"]["office"]["value"] == "10.0.0.0/8,192.0.2.7"
        load(json.dumps(made), environment="environments/RELEASE", mode=OVERRIDE)
        assert [p.result for p in load.last.policies] == [UNCHANGED, UNCHANGED] and load.last.unchanged == 1
    assert admin.refused("ExportOpenApi", parent="groups/g", scope=3).fields.keys() == {"environment"}


def test_policies_that_cannot_be_are_refused_by_name(admin, load):
    broken = {"x-apigateway-ratelimits": {"none": {"api-limit": "many"}, "unit": {"api-limit": 1, "unit": "YEAR"}, "low": {"api-limit": 0},
                                          "users": {"api-limit": 5, "user-limit": 2}, "kinds": {"api-limit": 5, "special": [{"type": "X"}]}, "1": {"api-limit": 1}},
              "x-apigateway-access-controls": {"names": {"acl-type": "DENY", "entity-type": "DOMAIN", "value": "a"}, "types": {"entity-type": "IP"},
                                               "nets": {"acl-type": "DENY", "entity-type": "IP", "value": "10.0.0.0/99"}}}
    row = load(document({"/a": {"get": operation(**{"operationId": "a", "x-apigateway-ratelimit": "none", "x-apigateway-plugins": ["away"]})}}, **broken),
               environment="environments/RELEASE")["GET /a"]
    assert {p.name: p.result for p in load.last.policies} == dict.fromkeys(
        ["none", "unit", "low", "users", "kinds", "1", "names", "types", "nets"], REFUSED)
    said = {p.name: p.failure.message for p in load.last.policies}
    for name, word in (("none", "api-limit"), ("unit", "YEAR"), ("low", "api_limit"), ("users", "account_limit"), ("kinds", "special"),
                       ("names", "entity-type"), ("types", "acl-type"), ("nets", "addresses[0]")):
        assert word in said[name], said
    assert row.result == CREATED and ["policies/none" in row.notes[0], "policies/away" in row.notes[1]] == [True, True]
    assert not admin.ListPolicies().policies
    assert admin.refused("ImportOpenApi", parent="groups/g", document=governed(), environment="environments/NONE").code == "NOT_FOUND"
    assert admin.refused("ImportOpenApi", parent="groups/g", document=governed(), environment="RELEASE").fields.keys() == {"environment"}
    many = {"x-apigateway-ratelimits": {f"p{i}": {"api-limit": 1} for i in range(101)}}
    assert "more than 100 policies" in admin.refused("ImportOpenApi", parent="groups/g", document=document({}, **many)).message


# ---- what is refused as a whole


def bomb():
    lines = ["openapi: 3.0.0", "x0: &x0 [1,1,1,1,1,1,1,1,1,1]"]
    return "\n".join(lines + [f"x{i}: &x{i} [{','.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 9)]) + "\npaths: {}\n"


NOT_DOCUMENTS = [
    ("", "required"), ("a" * (3 * 1024 * 1024 + 1), "at most 3145728 bytes"), ("[]", "must be an object"), ("#\n", "is empty"),
    ("{\"openapi\": \"3.0.0\"", "not JSON: line 1"), ("openapi: 3.0.0\n bad: [\n", "not YAML: line"),
    ("{\"openapi\": \"3.0.0\", \"openapi\": \"3.0.0\"}", "duplicate"), ("openapi: 3.0.0\nopenapi: 3.0.0\n", "is there twice"),
    ("openapi: 3.0.0\npaths: {}\n---\na: 1\n", "a second document"), ("openapi: 4.0.0\npaths: {}\n", "\"4.0.0\""),
    ("info: {}\npaths: {}\n", "neither"), ("swagger: '1.2'\npaths: {}\n", "\"1.2\""), ("openapi: 3.0.0\n", "\"paths\""),
    ("{\"a\":" * 65 + "1" + "}" * 65, "more than 64 levels"), ("a: " + "[" * 65, "more than 64 levels"),
    ("{\"openapi\": \"3.0.0\", \"a\": [" + "1," * 200000 + "1]}", "more than 200000 values"), (bomb(), "more than 200000 values"),
    ("a: &a [*a]\n", "stands for nothing"),
    (document({f"/p{i}": {"get": operation()} for i in range(301)}), "more than 300 operations"),
]


@pytest.mark.parametrize("number", range(len(NOT_DOCUMENTS)))
def test_a_document_that_is_none_changes_nothing(admin, number):
    text, said = NOT_DOCUMENTS[number]
    refusal = admin.refused("ImportOpenApi", parent="groups/g", document=text, create_group=True)
    assert (refusal.code, list(refusal.fields)) == ("INVALID_ARGUMENT", ["document"]) and said in refusal.message
    assert admin.refused("GetApiGroup", name="groups/g").code == "NOT_FOUND"


@pytest.mark.parametrize("fields, code, field", [
    ({"parent": "g"}, "INVALID_ARGUMENT", "parent"), ({"parent": "groups/none"}, "NOT_FOUND", None),
    ({"mode": 9}, "INVALID_ARGUMENT", "mode"), ({"replace_backends": True}, "INVALID_ARGUMENT", "replace_backends"),
    ({"backend": {}}, "INVALID_ARGUMENT", "backend"), ({"backend": {"grpc": {"address": "a"}}}, "INVALID_ARGUMENT", "backend"),
])
def test_requests_to_import_are_checked(admin, fields, code, field):
    admin.CreateApiGroup(group_id="g")
    refusal = admin.refused("ImportOpenApi", **{"parent": "groups/g", "document": document({"/a": {"get": operation()}}), **fields})
    assert (refusal.code, list(refusal.fields)) == (code, [field] if field else [])
    assert not admin.ListApis(parent="groups/g").apis


@pytest.mark.parametrize("fields, code, field", [
    ({"parent": "g"}, "INVALID_ARGUMENT", "parent"), ({"parent": "groups/none"}, "NOT_FOUND", None),
    ({"version": 9}, "INVALID_ARGUMENT", "version"), ({"format": 9}, "INVALID_ARGUMENT", "format"),
    ({"scope": 9}, "INVALID_ARGUMENT", "scope"), ({"environment": "TEST"}, "INVALID_ARGUMENT", "environment"),
    ({"environment": "environments/NONE"}, "NOT_FOUND", None), ({"names": ["a"]}, "INVALID_ARGUMENT", "names[0]"),
    ({"names": ["groups/h/apis/a"]}, "INVALID_ARGUMENT", "names[0]"), ({"names": ["groups/g/apis/a"]}, "NOT_FOUND", None),
    ({"names": ["groups/g/apis/a"] * 2}, "INVALID_ARGUMENT", "names[1]"),
    ({"names": [f"groups/g/apis/a{i}" for i in range(1001)]}, "INVALID_ARGUMENT", "names"),
])
def test_requests_to_export_are_checked(admin, fields, code, field):
    admin.CreateApiGroup(group_id="g")
    refusal = admin.refused("ExportOpenApi", **{"parent": "groups/g", **fields})
    assert (refusal.code, list(refusal.fields)) == (code, [field] if field else [])


def test_references_in_circles_are_refused_by_operation(admin, load):
    loops = {"a": {"$ref": "#/components/parameters/b"}, "b": {"$ref": "#/components/parameters/a"},
             "deep": {"name": "d", "in": "query", "schema": {"$ref": "#/components/schemas/s"}}}
    rows = load(document({"/a": {"get": operation(parameters=[{"$ref": "#/components/parameters/a"}])},
                          "/d": {"get": operation(parameters=[{"$ref": "#/components/parameters/deep"}])},
                          "/ok": {"get": operation()}},
                         components={"parameters": loops, "schemas": {"s": {"allOf": [{"$ref": "#/components/schemas/s"}] * 2}}}))
    assert [rows[key].result for key in ("GET /a", "GET /d", "GET /ok")] == [REFUSED, REFUSED, CREATED]
    assert "in a circle" in rows["GET /a"].failure.message and "levels" in rows["GET /d"].failure.message


# ---- JSON, penstockctl


def test_curl_imports_and_exports(controlplane):
    def curl(path, *flags):
        base = f"http://127.0.0.1:{controlplane.http_port}/v1/openApi"
        return json.loads(subprocess.run(["curl", "-sS", "-m", "60", *flags, base + path], capture_output=True, check=True).stdout)
    request = {"parent": "groups/g", "document": text_of("petstore"), "createGroup": True}
    done = curl(":import", "-H", "Content-Type: application/json", "-d", json.dumps(request))
    assert done["created"] == 11 and done["outcomes"][0]["api"] == "groups/g/apis/addAnimal"
    made = curl(":export?parent=groups/g&version=OPEN_API_VERSION_2_0")
    assert made["exported"] == 11 and json.loads(made["document"])["swagger"] == "2.0"


def test_penstockctl_imports_and_exports(controlplane, tmp_path):
    def ctl(*words, status=0):
        done = controlplane.ctl("openapi", *words, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done
    file = tmp_path / "shop.yaml"
    file.write_text(text_of("shop"), encoding="utf8")
    dry = ctl("import", "-f", file, "--group", "g", "--create-group", "--dry-run", status=1).stdout
    assert dry.endswith("8 created, 0 updated, 0 unchanged, 0 kept, 5 refused (dry run)\n")
    lines = ctl("import", "-f", file, "--group", "g", "--create-group", status=1).stdout.splitlines()
    assert lines[0].split() == ["METHOD", "PATH", "RESULT", "API"]
    assert ["GET", "/orders", "created", "groups/g/apis/orders-list"] in [line.split() for line in lines]
    assert any(line.split()[:3] == ["GET", "/broken", "refused"] and "leads to nothing" in line for line in lines)
    assert any('- cookie "session": passes unchecked' in line for line in lines)
    exported = ctl("export", "--group", "g").stdout
    file.write_text(exported, encoding="utf8")
    assert exported.startswith("openapi: 3.0.3\n") and node("validate_openapi.js", file)["valid"]
    assert "8 unchanged, 0 kept, 0 refused" in ctl("import", "-f", file, "--group", "g", "--mode", "override").stdout
    second = ctl("export", "g/orders-list", "--group", "g", "--spec", "2", "-o", "json", "--basic").stdout
    assert json.loads(second)["swagger"] == "2.0" and list(json.loads(second)["paths"]) == ["/orders"]
    report = json.loads(ctl("import", "-f", file, "--group", "h", "--create-group", "-o", "json", "--backend",
                            "https://10.0.0.1:8443/in", "--replace-backends", "--skip-parameters").stdout)
    assert report["created"] == 8 and report["outcomes"][0]["result"] == "OPERATION_RESULT_CREATED"
    backend = controlplane.get("api", "h/orders-list")["backend"]["http"]
    assert (backend["address"], backend["path"], backend["scheme"]) == ("10.0.0.1:8443", "/in/orders", "BACKEND_SCHEME_HTTPS")
    file.write_bytes(b"#" * (3 * 1024 * 1024 + 1))
    assert "larger than 3145728 bytes" in ctl("import", "-f", file, "--group", "g", status=1).stderr
    file.write_bytes(b"openapi: 3.0.0\n\0")
    assert "zero byte" in ctl("import", "-f", file, "--group", "g", status=1).stderr
    for words in (["import"], ["import", "-f", file], ["export"], ["import", "-f", file, "--group", "g", "--mode", "x"], ["frob"],
                  ["import", "-f", file, "--group", "g", "--backend", "10.0.0.1"], ["export", "--group", "g", "--spec", "4"]):
        ctl(*words, status=2)
