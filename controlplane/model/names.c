/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/names.h"

#include "controlplane/model/types.h"
#include "controlplane/model/variables.h"

#include <inttypes.h>

#define HOST_MAX 253
#define HOST_LABEL_MAX 63
#define NUMBER_DIGITS 19

/* An authorization and a binding are named "{group}.{api}.{environment}" when nobody says
 * otherwise, so their ids are as long as that. */
static const struct cp_kind kinds[CP_KIND_COUNT] = {
    {CP_KIND_GROUP, "groups", "groups/{group}", "group", CP_TYPE(api_group), 1, 63, false, "-_"},
    {CP_KIND_DOMAIN, "domains", "groups/{group}/domains/{domain}", "domain", CP_TYPE(domain), 1,
     HOST_MAX, false, NULL},
    {CP_KIND_ENVIRONMENT, "environments", "environments/{environment}", "environment",
     CP_TYPE(environment), 3, 64, true, "-_"},
    {CP_KIND_CHANNEL, "channels", "channels/{channel}", "channel", CP_TYPE(channel), 3, 64, true,
     "-_."},
    {CP_KIND_API, "apis", "groups/{group}/apis/{api}", "API", CP_TYPE(api), 1, 63, false, "-_."},
    {CP_KIND_RELEASE, "releases", "groups/{group}/apis/{api}/releases/{release}", "release",
     CP_TYPE(release), 5, 84, true, "-_"},
    {CP_KIND_PUBLICATION, "publications", "groups/{group}/apis/{api}/publications/{environment}",
     "publication", CP_TYPE(publication), 3, 64, true, "-_"},
    {CP_KIND_APP, "apps", "apps/{app}", "app", CP_TYPE(app), 1, 63, false, "-_"},
    {CP_KIND_CODE, "codes", "apps/{app}/codes/{code}", "AppCode", CP_TYPE(app_code), 1, 63, false,
     "-_"},
    {CP_KIND_AUTHORIZATION, "authorizations", "apps/{app}/authorizations/{authorization}",
     "authorization", CP_TYPE(authorization), 1, 200, false, "-_."},
    {CP_KIND_POLICY, "policies", "policies/{policy}", "policy", CP_TYPE(policy), 3, 64, true, "-_"},
    {CP_KIND_BINDING, "bindings", "policies/{policy}/bindings/{binding}", "binding",
     CP_TYPE(policy_binding), 1, 200, false, "-_."},
    {CP_KIND_CERTIFICATE, "certificates", "certificates/{certificate}", "certificate",
     CP_TYPE(certificate), 4, 50, true, "-_"},
    {CP_KIND_VARIABLE, "variables", "groups/{group}/variables/{variable}", "variable",
     CP_TYPE(variable), 7, 97, true, "-_."},
    {CP_KIND_ACCOUNT, "accounts", "accounts/{account}", "account", CP_TYPE(account), 1, 64, false,
     "-_."},
    {CP_KIND_USER, "users", "accounts/{account}/users/{user}", "user", CP_TYPE(user), 1, 64, false,
     "-_.@"},
    {CP_KIND_ACCESS_KEY, "keys", "accounts/{account}/users/{user}/keys/{key}", "access key",
     CP_TYPE(access_key), 8, 64, false, ""},
    {CP_KIND_SETTINGS, "settings", "settings", "settings", CP_TYPE(settings), 0, 0, false, ""},
    {CP_KIND_TICKET_KEYS, "ticketKeys", "ticketKeys/{set}", "set of ticket keys",
     &penstock__store__v1__ticket_key_set__descriptor, 1, 63, true, "-_"},
    {CP_KIND_ENROLMENT, "enrolments", "enrolments/{enrolment}", "enrolment", CP_TYPE(enrolment), 8,
     64, false, "-_"},
    {CP_KIND_AGENT_IDENTITY, "agentIdentities", "agentIdentities/{agent}", "agent identity",
     CP_TYPE(agent_identity), 1, 128, false, "-_."},
    {CP_KIND_AGENT_AUTHORITY, "agentAuthority", "agentAuthority/{authority}", "authority of agents",
     &penstock__store__v1__agent_authority__descriptor, 1, 63, true, "-_"},
};

/* The kinds of a name's ids, from the left; the count is the number of ids. */
static const struct {
    unsigned count;
    enum cp_kind_id kind[CP_IDS_MAX];
} lineages[CP_KIND_COUNT] = {
    [CP_KIND_GROUP] = {1, {CP_KIND_GROUP}},
    [CP_KIND_DOMAIN] = {2, {CP_KIND_GROUP, CP_KIND_DOMAIN}},
    [CP_KIND_ENVIRONMENT] = {1, {CP_KIND_ENVIRONMENT}},
    [CP_KIND_CHANNEL] = {1, {CP_KIND_CHANNEL}},
    [CP_KIND_API] = {2, {CP_KIND_GROUP, CP_KIND_API}},
    [CP_KIND_RELEASE] = {3, {CP_KIND_GROUP, CP_KIND_API, CP_KIND_RELEASE}},
    [CP_KIND_PUBLICATION] = {3, {CP_KIND_GROUP, CP_KIND_API, CP_KIND_PUBLICATION}},
    [CP_KIND_APP] = {1, {CP_KIND_APP}},
    [CP_KIND_CODE] = {2, {CP_KIND_APP, CP_KIND_CODE}},
    [CP_KIND_AUTHORIZATION] = {2, {CP_KIND_APP, CP_KIND_AUTHORIZATION}},
    [CP_KIND_POLICY] = {1, {CP_KIND_POLICY}},
    [CP_KIND_BINDING] = {2, {CP_KIND_POLICY, CP_KIND_BINDING}},
    [CP_KIND_CERTIFICATE] = {1, {CP_KIND_CERTIFICATE}},
    [CP_KIND_VARIABLE] = {2, {CP_KIND_GROUP, CP_KIND_VARIABLE}},
    [CP_KIND_ACCOUNT] = {1, {CP_KIND_ACCOUNT}},
    [CP_KIND_USER] = {2, {CP_KIND_ACCOUNT, CP_KIND_USER}},
    [CP_KIND_ACCESS_KEY] = {3, {CP_KIND_ACCOUNT, CP_KIND_USER, CP_KIND_ACCESS_KEY}},
    [CP_KIND_SETTINGS] = {0, {CP_KIND_SETTINGS}},
    [CP_KIND_TICKET_KEYS] = {1, {CP_KIND_TICKET_KEYS}},
    [CP_KIND_ENROLMENT] = {1, {CP_KIND_ENROLMENT}},
    [CP_KIND_AGENT_IDENTITY] = {1, {CP_KIND_AGENT_IDENTITY}},
    [CP_KIND_AGENT_AUTHORITY] = {1, {CP_KIND_AGENT_AUTHORITY}},
};

const struct cp_kind *cp_kind_get(enum cp_kind_id id)
{
    assert((unsigned)id < CP_KIND_COUNT && kinds[id].id == id);
    return &kinds[id];
}

bool cp_kind_parent(enum cp_kind_id id, enum cp_kind_id *ret_parent)
{
    unsigned count = lineages[id].count;
    if (count < 2)
        return false;
    *ret_parent = lineages[id].kind[count - 2];
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_label(gw_str label)
{
    if (label.len == 0 || label.len > HOST_LABEL_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-')
            return false;
    }
    return true;
}

/* A host name in lower case, with "*." in front for a wildcard. Not an address: those lead to the
 * group DEFAULT, and a last label of digits is what an address ends in. */
static bool is_domain_id(gw_str id)
{
    if (id.len > HOST_MAX)
        return false;
    if (gw_str_has_prefix(id, GW_STR("*.")))
        id = gw_str_n(id.ptr + 2, id.len - 2);
    gw_str rest = id;
    gw_str label = GW_STR_NONE;
    do {
        label = gw_str_split(&rest, '.');
        if (!is_host_label(label))
            return false;
    } while (rest.ptr);
    for (size_t i = 0; i < label.len; i++)
        if (!is_digit(label.ptr[i]))
            return true;
    return false;
}

static bool is_plain_id(const struct cp_kind *kind, gw_str id)
{
    if (id.len < kind->id_min || id.len > kind->id_max)
        return false;
    if (!is_letter(id.ptr[0]) && (kind->letter_first || !is_digit(id.ptr[0])))
        return false;
    for (size_t i = 1; i < id.len; i++) {
        char c = id.ptr[i];
        if (!is_letter(c) && !is_digit(c) && (c == '\0' || !strchr(kind->id_marks, c)))
            return false;
    }
    return true;
}

bool cp_release_id_parse(gw_str id, gw_str *ret_environment, int64_t *ret_number)
{
    size_t dash = id.len;
    while (dash > 0 && id.ptr[dash - 1] != '-')
        dash--;
    if (dash == 0)
        return false;
    gw_str digits = gw_str_n(id.ptr + dash, id.len - dash);
    uint64_t number = 0;
    if (digits.len == 0 || digits.ptr[0] == '0' || gw_str_to_u64(digits, INT64_MAX, &number) < 0)
        return false;
    *ret_environment = gw_str_n(id.ptr, dash - 1);
    *ret_number = (int64_t)number;
    return is_plain_id(&kinds[CP_KIND_ENVIRONMENT], *ret_environment);
}

bool cp_variable_id_parse(gw_str id, gw_str *ret_environment, gw_str *ret_variable)
{
    *ret_variable = id;
    *ret_environment = gw_str_split(ret_variable, '.');
    return ret_variable->ptr && cp_variable_name_is(*ret_variable) &&
           is_plain_id(&kinds[CP_KIND_ENVIRONMENT], *ret_environment);
}

/* An account's id is no number: numbers are other systems' ids of accounts. */
static bool is_all_digits(gw_str id)
{
    size_t at = 0;
    while (at < id.len && is_digit(id.ptr[at]))
        at++;
    return at == id.len;
}

static bool is_id(enum cp_kind_id kind, gw_str id)
{
    gw_str environment, variable;
    int64_t number = 0;
    if (kind == CP_KIND_DOMAIN)
        return is_domain_id(id);
    if (kind == CP_KIND_VARIABLE)
        return cp_variable_id_parse(id, &environment, &variable);
    if (kind == CP_KIND_ACCOUNT && is_all_digits(id))
        return false;
    if (kind == CP_KIND_RELEASE && !cp_release_id_parse(id, &environment, &number))
        return false;
    return is_plain_id(&kinds[kind], id);
}

bool cp_name_parse(enum cp_kind_id kind, gw_str name, struct cp_ids *ret_ids)
{
    if (name.len > CP_NAME_MAX)
        return false;
    gw_str pattern = gw_str_from(cp_kind_get(kind)->pattern);
    *ret_ids = (struct cp_ids){.count = 0};
    while (pattern.ptr && name.ptr) {
        gw_str want = gw_str_split(&pattern, '/');
        gw_str got = gw_str_split(&name, '/');
        if (want.ptr[0] != '{') {
            if (!gw_str_eq(want, got))
                return false;
            continue;
        }
        unsigned at = ret_ids->count++;
        if (!is_id(lineages[kind].kind[at], got))
            return false;
        ret_ids->id[at] = got;
    }
    return !pattern.ptr && !name.ptr;
}

bool cp_name_is(enum cp_kind_id kind, const char *name)
{
    struct cp_ids ids;
    return cp_name_parse(kind, gw_str_from(name), &ids);
}

bool cp_name_stands_alone(const char *name)
{
    for (enum cp_kind_id i = 0; i < CP_KIND_COUNT; i++)
        if (i != CP_KIND_TICKET_KEYS && i != CP_KIND_AGENT_AUTHORITY && lineages[i].count == 1 &&
            cp_name_is(i, name))
            return true;
    return false;
}

int cp_name_check(enum cp_kind_id kind, const char *name, const char *field, struct gw_error *err)
{
    if (name[0] == '\0')
        return gw_fail_field(err, field, "required: \"%s\"", kinds[kind].pattern);
    if (!cp_name_is(kind, name))
        return gw_fail_field(err, field, "is not a name of the form \"%s\"", kinds[kind].pattern);
    return 0;
}

int cp_id_check(enum cp_kind_id kind, const char *id, const char *field, struct gw_error *err)
{
    const struct cp_kind *k = cp_kind_get(kind);
    if (id[0] == '\0')
        return gw_fail_field(err, field, "required: the id of the %s", k->noun);
    if (is_id(kind, gw_str_from(id)))
        return 0;
    if (kind == CP_KIND_DOMAIN)
        return gw_fail_field(err, field,
                             "must be a host name in lower case of at most %d bytes, \"*.\" in "
                             "front for all names below",
                             HOST_MAX);
    if (kind == CP_KIND_VARIABLE)
        return gw_fail_field(
            err, field,
            "must be \"{environment}.{variable}\": the environment's id, and %d to "
            "%d letters, digits or \"-_\", a letter first",
            CP_VARIABLE_NAME_MIN, CP_VARIABLE_NAME_MAX);
    if (kind == CP_KIND_ACCOUNT && is_plain_id(k, gw_str_from(id)))
        return gw_fail_field(err, field, "must not be of digits alone");
    if (!k->id_marks[0])
        return gw_fail_field(err, field, "must be %zu to %zu letters or digits", k->id_min,
                             k->id_max);
    return gw_fail_field(err, field, "must be %zu to %zu letters, digits or \"%s\", %s first",
                         k->id_min, k->id_max, k->id_marks,
                         k->letter_first ? "a letter" : "a letter or a digit");
}

gw_str cp_name_make(struct gw_arena *arena, enum cp_kind_id kind, const struct cp_ids *ids)
{
    assert(ids->count == lineages[kind].count);
    gw_str pattern = gw_str_from(kinds[kind].pattern);
    gw_str name = GW_STR_NONE;
    unsigned at = 0;
    while (pattern.ptr) {
        gw_str part = gw_str_split(&pattern, '/');
        if (part.ptr[0] == '{')
            part = ids->id[at++];
        name = name.ptr ? gw_arena_printf(arena, "%.*s/%.*s", GW_STR_ARG(name), GW_STR_ARG(part))
                        : part;
    }
    return name;
}

const char *cp_name_last(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

gw_str cp_name_parent(gw_str name)
{
    for (unsigned slashes = 0; name.len > 0; name.len--)
        if (name.ptr[name.len - 1] == '/' && ++slashes == 2)
            return gw_str_n(name.ptr, name.len - 1);
    return GW_STR("");
}

gw_str cp_key_of(struct gw_arena *arena, enum cp_kind_id kind, const char *name)
{
    struct cp_ids ids;
    bool is_name = cp_name_parse(kind, gw_str_from(name), &ids);
    assert(is_name);
    (void)is_name;
    gw_str key = gw_arena_printf(arena, CP_KEY_ROOT "%s", kinds[kind].word);
    for (unsigned i = 0; i < ids.count; i++) {
        gw_str environment;
        int64_t number = 0;
        if (lineages[kind].kind[i] == CP_KIND_RELEASE &&
            cp_release_id_parse(ids.id[i], &environment, &number))
            key = gw_arena_printf(arena, "%.*s/%.*s/%0*" PRId64, GW_STR_ARG(key),
                                  GW_STR_ARG(environment), NUMBER_DIGITS, number);
        else
            key = gw_arena_printf(arena, "%.*s/%.*s", GW_STR_ARG(key), GW_STR_ARG(ids.id[i]));
    }
    return key;
}

gw_str cp_key_prefix(struct gw_arena *arena, enum cp_kind_id kind)
{
    return gw_arena_printf(arena, CP_KEY_ROOT "%s/", kinds[kind].word);
}

gw_str cp_key_children(struct gw_arena *arena, enum cp_kind_id kind, gw_str parent)
{
    gw_str key = cp_key_prefix(arena, kind);
    if (parent.len == 0)
        return key;
    while (parent.ptr) {
        (void)gw_str_split(&parent, '/'); /* the collection's word; the ids alone are in the key */
        gw_str id = gw_str_split(&parent, '/');
        key = gw_arena_printf(arena, "%.*s%.*s/", GW_STR_ARG(key), GW_STR_ARG(id));
    }
    return key;
}

gw_str cp_key_history(struct gw_arena *arena, const char *api, const char *environment)
{
    gw_str key = cp_key_children(arena, CP_KIND_RELEASE, gw_str_from(api));
    return gw_arena_printf(arena, "%.*s%s/", GW_STR_ARG(key), cp_name_last(environment));
}

/* The ids in a key's tail; a release's last two parts are one id. */
static bool parse_key_ids(struct gw_arena *arena, enum cp_kind_id kind, gw_str tail,
                          struct cp_ids *ret_ids)
{
    *ret_ids = (struct cp_ids){.count = 0};
    while (tail.ptr && ret_ids->count < lineages[kind].count) {
        enum cp_kind_id part = lineages[kind].kind[ret_ids->count];
        gw_str id = gw_str_split(&tail, '/');
        if (part == CP_KIND_RELEASE) {
            gw_str digits = gw_str_split(&tail, '/');
            uint64_t number = 0;
            if (digits.len != NUMBER_DIGITS || gw_str_to_u64(digits, INT64_MAX, &number) < 0)
                return false;
            id = gw_arena_printf(arena, "%.*s-%" PRIu64, GW_STR_ARG(id), number);
        }
        if (!is_id(part, id))
            return false;
        ret_ids->id[ret_ids->count++] = id;
    }
    return !tail.ptr && ret_ids->count == lineages[kind].count;
}

const struct cp_kind *cp_key_parse(struct gw_arena *arena, gw_str key, gw_str *ret_name)
{
    if (!gw_str_has_prefix(key, GW_STR(CP_KEY_ROOT)))
        return NULL;
    gw_str tail = gw_str_n(key.ptr + strlen(CP_KEY_ROOT), key.len - strlen(CP_KEY_ROOT));
    gw_str word = gw_str_split(&tail, '/');
    for (size_t i = 0; i < CP_KIND_COUNT; i++) {
        struct cp_ids ids;
        if (!gw_str_eq(word, gw_str_from(kinds[i].word)))
            continue;
        if (!parse_key_ids(arena, kinds[i].id, tail, &ids))
            return NULL;
        *ret_name = cp_name_make(arena, kinds[i].id, &ids);
        return &kinds[i];
    }
    return NULL;
}

gw_str cp_route_name(struct gw_arena *arena, const char *api, const char *environment)
{
    return gw_arena_printf(arena, "%s@%s", api, cp_name_last(environment));
}
