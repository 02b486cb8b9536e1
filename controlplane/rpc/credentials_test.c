/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/credentials.h"

#include "common/test.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* SHA-256 of "token" */
#define DIGEST "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"

static struct cp_credentials *parse(const char *json)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_credentials *credentials;
    if (cp_credentials_parse(gw_str_from(json), &credentials, &err))
        fail_msg("%s: %s", json, err.message);
    return credentials;
}

static void every_list_is_read(void **state)
{
    (void)state;
    struct cp_credentials *credentials =
        parse("{\"tokens\": [{\"sha256\": \"" DIGEST
              "\", \"principal\": \"ci\", \"role\": \"operator\"}],"
              " \"certificates\": [{\"name\": \"ann.example.com\", \"principal\": \"ann\","
              "                     \"role\": \"administrator\"}],"
              " \"agents\": [{\"name\": \"spiffe://x/agent\"}, {\"name\": \"b\"}]}");
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)"token", 5, digest);
    const struct cp_principal *ci =
        gw_map_get(&credentials->tokens, gw_str_n((const char *)digest, sizeof(digest)));
    assert_non_null(ci);
    assert_string_equal(ci->name, "ci");
    assert_int_equal(ci->role, CP_ROLE_OPERATOR);
    const struct cp_principal *ann =
        gw_map_get(&credentials->certificates, GW_STR("ann.example.com"));
    assert_non_null(ann);
    assert_int_equal(ann->role, CP_ROLE_ADMINISTRATOR);
    assert_non_null(gw_map_get(&credentials->agents, GW_STR("spiffe://x/agent")));
    assert_non_null(gw_map_get(&credentials->agents, GW_STR("b")));
    assert_int_equal(credentials->agents.count, 2);
    cp_credentials_free(credentials);
}

static void nothing_is_also_something(void **state)
{
    (void)state;
    struct cp_credentials *credentials = parse("{}");
    assert_int_equal(credentials->tokens.count, 0);
    cp_credentials_free(credentials);
    cp_credentials_free(parse("{\"tokens\": [], \"agents\": []}"));
    cp_credentials_free(NULL);
}

static void hex_in_both_cases(void **state)
{
    (void)state;
    char json[512];
    snprintf(
        json, sizeof(json),
        "{\"tokens\": [{\"sha256\": \"%.32s%s\", \"principal\": \"p\", \"role\": \"viewer\"}]}",
        "3C469E9D6C5875D37A43F353D4F88E61", &DIGEST[32]);
    struct cp_credentials *credentials = parse(json);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)"token", 5, digest);
    assert_non_null(
        gw_map_get(&credentials->tokens, gw_str_n((const char *)digest, sizeof(digest))));
    cp_credentials_free(credentials);
}

static void refuse(const char *json, const char *message)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_credentials *credentials;
    assert_int_equal(cp_credentials_parse(gw_str_from(json), &credentials, &err), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_string_equal(err.message, message);
}

#define TOKEN(fields) "{\"tokens\": [{" fields "}]}"
#define WHO "\"principal\": \"p\", \"role\": \"viewer\""

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    refuse("", "line 1, column 0: not JSON");
    refuse("[]", "must be an object");
    refuse("{\"tokens\": [], \"tokens\": []}", "line 1, column 23: not JSON");
    refuse("{\"token\": []}", "token: unknown key");
    refuse("{\"tokens\": {}}", "tokens: must be a list");
    refuse("{\"agents\": [\"a\"]}", "agents[0]: must be an object");
    refuse("{\"agents\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}",
           "agents[1].name: stands here twice");
    refuse("{\"agents\": [{\"name\": \"a\", \"role\": \"viewer\"}]}",
           "agents[0].role: unknown key");
    refuse("{\"agents\": [{\"name\": \"\"}]}", "agents[0].name: must be a text of 1 to 127 bytes");
    refuse("{\"agents\": [{\"name\": \"a\", \"ids\": []}]}",
           "agents[0].ids: must be a list of 1 to 100 texts");
    refuse(
        "{\"agents\": [{\"name\": \"a\", \"ids\": [\"*-1\"]}]}",
        "agents[0].ids: must be ids of agents, 1 to 128 of a-z A-Z 0-9 . - _, or their beginning "
        "with * behind it: \"edge-*\"");
    refuse("{\"agents\": [{\"name\": \"a\", \"environments\": []}]}",
           "agents[0].environments: must be a list of 1 to 32 texts");
    refuse("{\"agents\": [{\"name\": \"a\", \"environments\": [\"a,b\"]}]}",
           "agents[0].environments: must be ids of environments: \"RELEASE\"");
    refuse("{\"agents\": [{\"name\": 7}]}", "agents[0].name: must be a text of 1 to 127 bytes");
    refuse("{\"certificates\": [{\"name\": \"n\", \"role\": \"viewer\"}]}",
           "certificates[0].principal: must be a text of 1 to 127 bytes");
    refuse(TOKEN("\"sha256\": \"" DIGEST "\", \"principal\": \"p\", \"role\": \"root\""),
           "tokens[0].role: must be viewer, operator, administrator or one of \"roles\"");
    refuse(TOKEN("\"sha256\": \"" DIGEST "\", \"principal\": \"p\", \"role\": \"none\""),
           "tokens[0].role: must be viewer, operator, administrator or one of \"roles\"");
    refuse(TOKEN(WHO), "tokens[0].sha256: must be 64 hex digits, the SHA-256 of the token");
}

#define ROLES(actions) "{\"roles\": [{\"name\": \"publisher\", \"actions\": [" actions "]}]}"
#define GRANTS(...) TOKEN("\"sha256\": \"" DIGEST "\", \"principal\": \"p\", " __VA_ARGS__)
#define NO_LIMIT                                                                                   \
    "must be names of groups, accounts, apps, channels or others that stand alone: "               \
    "\"groups/shop\""

static void wrong_roles_are_named(void **state)
{
    (void)state;
    static const char rule[] = "roles[0].actions: must be methods of the management API, such as "
                               "\"ApiService/Get*\"";
    static const char name[] = "roles[0].name: must be 1 to 63 of a-z 0-9 -, a letter first, and "
                               "none of viewer, operator, administrator, none";
    refuse(ROLES("\"ApiService/Frobnicate\""), rule);
    refuse(ROLES("\"ApiService/Get*\", \"Nothing/*\""), rule);
    refuse(ROLES("\"ApiService\""), rule);
    refuse(ROLES("7"), rule);
    refuse(ROLES("\"Api/name\""), rule); /* a field is no method */
    refuse(ROLES(""), "roles[0].actions: must be a list of 1 to 200 texts");
    refuse("{\"roles\": [{\"name\": \"p\"}]}", "roles[0].actions: required");
    refuse("{\"roles\": [{\"name\": \"viewer\", \"actions\": [\"*\"]}]}", name);
    refuse("{\"roles\": [{\"name\": \"none\", \"actions\": [\"*\"]}]}", name);
    refuse("{\"roles\": [{\"name\": \"A b\", \"actions\": [\"*\"]}]}", name);
    refuse("{\"roles\": [{\"name\": \"p\", \"actions\": [\"*\"]}, "
           "{\"name\": \"p\", \"actions\": [\"*\"]}]}",
           "roles[1].name: stands here twice");
}

static void wrong_grants_are_named(void **state)
{
    (void)state;
    refuse(GRANTS("\"role\": \"publisher\""),
           "tokens[0].role: must be viewer, operator, administrator or one of \"roles\"");
    refuse(GRANTS("\"role\": \"viewer\", \"grants\": []"),
           "tokens[0].grants: not together with role and limits");
    refuse(GRANTS("\"limits\": [\"groups/a\"], \"grants\": []"),
           "tokens[0].grants: not together with role and limits");
    refuse(GRANTS("\"grants\": []"), "tokens[0].grants: must be a list of 1 to 20 objects");
    refuse(GRANTS("\"grants\": [7]"), "tokens[0].grants[0]: must be an object");
    refuse(GRANTS("\"grants\": [{\"role\": \"viewer\"}, {\"role\": \"root\"}]"),
           "tokens[0].grants[1].role: must be viewer, operator, administrator or one of "
           "\"roles\"");
    refuse(GRANTS("\"grants\": [{\"role\": \"viewer\", \"limit\": []}]"),
           "tokens[0].grants[0].limit: unknown key");
    refuse(GRANTS("\"role\": \"viewer\", \"limits\": []"),
           "tokens[0].limits: must be a list of 1 to 100 texts");
    static const char *const wrong[] = {"shop",     "group/shop", "groups/shop/apis/a", "groups/",
                                        "groups/-", "groups/*",   "ticketKeys/tls"};
    for (size_t i = 0; i < GW_ARRAY_LEN(wrong); i++) {
        char json[512];
        (void)snprintf(json, sizeof(json), GRANTS("\"role\": \"viewer\", \"limits\": [\"%s\"]"),
                       wrong[i]);
        refuse(json, "tokens[0].limits: " NO_LIMIT);
    }
}

static void roles_and_limits_are_read(void **state)
{
    (void)state;
    struct cp_credentials *credentials =
        parse("{\"certificates\": [{\"name\": \"ann\", \"principal\": \"ann\", \"grants\": ["
              "   {\"role\": \"publisher\", \"limits\": [\"groups/shop\", \"channels/c-1\"]},"
              "   {\"role\": \"viewer\"}]},"
              "  {\"name\": \"ben\", \"principal\": \"ben\", \"role\": \"administrator\","
              "   \"limits\": [\"groups/shop\"]}],"
              " \"roles\": [{\"name\": \"publisher\", \"actions\": [\"*/Get*\", \"*\"]}]}");
    const struct cp_principal *ann = gw_map_get(&credentials->certificates, GW_STR("ann"));
    assert_int_equal(ann->role, CP_ROLE_VIEWER);
    assert_int_equal(ann->grant_count, 1);
    assert_string_equal(ann->grants[0].role_name, "publisher");
    assert_int_equal(ann->grants[0].actions.count, 2);
    assert_string_equal(ann->grants[0].limits.at[1], "channels/c-1");
    const struct cp_principal *ben = gw_map_get(&credentials->certificates, GW_STR("ben"));
    assert_int_equal(ben->role, CP_ROLE_NONE);
    assert_int_equal(ben->grants[0].role, CP_ROLE_ADMINISTRATOR);
    cp_credentials_free(credentials);
}

/* Somebody put the token where its digest belongs: it must not end up in a log. */
static void no_message_quotes_a_token(void **state)
{
    (void)state;
    static const char rule[] = "tokens[0].sha256: must be 64 hex digits, the SHA-256 of the token";
    refuse(TOKEN("\"sha256\": \"my-secret-token\", " WHO), rule);
    refuse(TOKEN("\"sha256\": "
                 "\"zz469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0\", " WHO),
           rule);
    refuse("{\"tokens\": [{\"sha256\": my-secret-token", "line 1, column 25: not JSON");
}

static void too_many_entries(void **state)
{
    (void)state;
    size_t size = 64 + (size_t)(CP_AUTH_ENTRIES_MAX + 1) * 24, at = 0;
    char *json = gw_malloc(size);
    at += (size_t)snprintf(json, size, "{\"agents\": [");
    for (int i = 0; i <= CP_AUTH_ENTRIES_MAX; i++)
        at += (size_t)snprintf(json + at, size - at, "%s{\"name\":\"a%d\"}", i ? "," : "", i);
    snprintf(json + at, size - at, "]}");
    refuse(json, "agents: more than 10000 entries");
    free(json);
}

/* ---- files */

static void expect_file(const char *path, const char *message)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_credentials *credentials;
    assert_int_equal(cp_credentials_load(path, &credentials, &err), -1);
    assert_string_equal(err.message, message);
}

static void files_are_named(void **state)
{
    (void)state;
    expect_file("/nonexistent/credentials", "/nonexistent/credentials: No such file or directory");
    expect_file("/", "/: cannot be read");
    expect_file("/dev/zero", "/dev/zero: larger than 1048576 bytes");
    expect_file("/dev/null", "/dev/null: line 1, column 0: not JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_list_is_read),        cmocka_unit_test(nothing_is_also_something),
        cmocka_unit_test(hex_in_both_cases),         cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(wrong_roles_are_named),     cmocka_unit_test(wrong_grants_are_named),
        cmocka_unit_test(roles_and_limits_are_read), cmocka_unit_test(no_message_quotes_a_token),
        cmocka_unit_test(too_many_entries),          cmocka_unit_test(files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
