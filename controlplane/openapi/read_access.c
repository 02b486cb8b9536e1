/* SPDX-License-Identifier: Apache-2.0 */
/* How an operation is reached, and who may call it: servers, schemes, security. */
#include "controlplane/model/check_backend.h"
#include "controlplane/openapi/reader.h"

#define SERVER_VARIABLES_MAX 16 /* put into one URL */

/* ---- servers ---- */

/* The nearest list of that name: of the operation, its path, or the document. */
static const json_t *nearest(const struct cp_openapi_reader *reader, const char *member)
{
    const json_t *levels[] = {reader->node, reader->item, reader->root};
    for (size_t i = 0; i < GW_ARRAY_LEN(levels); i++) {
        const json_t *found = json_object_get(levels[i], member);
        if (json_is_array(found) && json_array_size(found) > 0)
            return found;
    }
    return NULL;
}

/* "https://{host}/v1" with what its variables are by default. */
static gw_str url_of(const struct cp_openapi_reader *reader, const json_t *server)
{
    gw_str url = gw_str_from(cp_openapi_head(reader, server, "url", CP_OPENAPI_URL_MAX));
    const json_t *variables = json_object_get(server, "variables");
    for (unsigned i = 0; i < SERVER_VARIABLES_MAX && url.len <= CP_OPENAPI_URL_MAX; i++) {
        ptrdiff_t open = gw_str_find(url, '{'), close = gw_str_find(url, '}');
        if (open < 0 || close < open)
            break;
        gw_str before = gw_str_n(url.ptr, (size_t)open);
        gw_str name = gw_str_n(url.ptr + open + 1, (size_t)(close - open) - 1);
        gw_str after = gw_str_n(url.ptr + close + 1, url.len - (size_t)close - 1);
        const json_t *variable = json_object_getn(variables, name.ptr, name.len);
        const char *value = cp_openapi_head(reader, variable, "default", CP_OPENAPI_URL_MAX);
        if (gw_str_find(gw_str_from(value), '{') >= 0)
            break;
        url = gw_arena_printf(reader->arena, "%.*s%s%.*s", GW_STR_ARG(before), value,
                              GW_STR_ARG(after));
    }
    return url.len <= CP_OPENAPI_URL_MAX ? url : GW_STR("");
}

/* False: it is no absolute URL of HTTP. */
static bool take_scheme(gw_str *url, bool *ret_is_https)
{
    static const struct {
        gw_str prefix;
        bool is_https;
    } schemes[] = {{GW_STR("http://"), false},
                   {GW_STR("https://"), true},
                   {GW_STR("ws://"), false},
                   {GW_STR("wss://"), true}};
    for (size_t i = 0; i < GW_ARRAY_LEN(schemes); i++) {
        if (!gw_str_has_prefix(*url, schemes[i].prefix))
            continue;
        *ret_is_https = schemes[i].is_https;
        *url = gw_str_n(url->ptr + schemes[i].prefix.len, url->len - schemes[i].prefix.len);
        return true;
    }
    return false;
}

struct schemes {
    bool http, https;
};

static struct schemes schemes_of(const struct cp_openapi_reader *reader)
{
    struct schemes found = {false, false};
    const json_t *item;
    size_t i;
    json_array_foreach(nearest(reader, reader->is_v2 ? "schemes" : "servers"), i, item)
    {
        bool is_https;
        gw_str url = reader->is_v2 ? gw_arena_printf(reader->arena, "%s://",
                                                     cp_openapi_scalar(reader, item)
                                                         ? cp_openapi_scalar(reader, item)
                                                         : "")
                                   : url_of(reader, item);
        if (!take_scheme(&url, &is_https))
            continue;
        found.https |= is_https;
        found.http |= !is_https;
    }
    return found;
}

static void set_server(gw_str rest, bool is_https, struct cp_openapi_server *ret)
{
    ptrdiff_t slash = gw_str_find(rest, '/');
    size_t len = slash < 0 ? rest.len : (size_t)slash;
    ret->is_https = is_https;
    ret->address = gw_str_n(rest.ptr, len);
    ret->path = gw_str_n(rest.ptr + len, rest.len - len);
}

/* What cannot be a backend is passed over: a host that is none, a path with parts left open. */
static bool is_usable(const struct cp_openapi_server *server)
{
    return server->address.len <= CP_BACKEND_ADDRESS_MAX && cp_is_authority(server->address) &&
           gw_str_find(server->path, '{') < 0 && gw_str_find(server->path, '?') < 0 &&
           gw_str_find(server->path, '#') < 0;
}

bool cp_openapi_find_server(const struct cp_openapi_reader *reader, struct cp_openapi_server *ret)
{
    if (!reader->is_v2) {
        const json_t *item;
        size_t i;
        json_array_foreach(nearest(reader, "servers"), i, item)
        {
            bool is_https;
            gw_str url = url_of(reader, item);
            if (!take_scheme(&url, &is_https))
                continue;
            set_server(url, is_https, ret);
            if (is_usable(ret))
                return true;
        }
        return false;
    }
    const char *host = cp_openapi_text(reader, reader->root, "host");
    struct schemes schemes = schemes_of(reader);
    ret->is_https = schemes.https;
    ret->address = gw_str_from(host);
    ret->path = gw_str_from(reader->base_path);
    return is_usable(ret);
}

static int read_protocol(struct cp_openapi_reader *reader, struct gw_error *err)
{
    static const struct {
        const char *word;
        Penstock__Admin__V1__Protocol protocol;
    } words[] = {{"HTTP", CP_ENUM(PROTOCOL, HTTP)},
                 {"HTTPS", CP_ENUM(PROTOCOL, HTTPS)},
                 {"BOTH", CP_ENUM(PROTOCOL, BOTH)}};
    const char *own = cp_openapi_text(reader, reader->own, "protocol");
    const char *list = reader->is_v2 ? "schemes" : "servers";
    if (json_array_size(nearest(reader, list)) > CP_OPENAPI_SERVERS_MAX)
        return gw_fail_field(err, list, "more than %d", CP_OPENAPI_SERVERS_MAX);
    struct schemes schemes = schemes_of(reader);
    cp_frontend *frontend = reader->api->frontend;
    for (size_t i = 0; i < GW_ARRAY_LEN(words) && *own; i++)
        if (strcmp(own, words[i].word) == 0) {
            frontend->protocol = words[i].protocol;
            return 0;
        }
    if (*own)
        return gw_fail_field(err, CP_OPENAPI_OWN, "protocol: \"%.16s\" is not HTTP, HTTPS or BOTH",
                             own);
    frontend->protocol = !schemes.http   ? CP_ENUM(PROTOCOL, HTTPS)
                         : schemes.https ? CP_ENUM(PROTOCOL, BOTH)
                                         : CP_ENUM(PROTOCOL, HTTP);
    return 0;
}

/* ---- security ---- */

static int find_scheme(const struct cp_openapi_reader *reader, const char *name,
                       const json_t **ret_scheme, struct gw_error *err)
{
    const json_t *holder =
        reader->is_v2 ? reader->root : json_object_get(reader->root, "components");
    const json_t *schemes =
        json_object_get(holder, reader->is_v2 ? "securityDefinitions" : "securitySchemes");
    return cp_openapi_follow(reader, json_object_get(schemes, name), ret_scheme, err);
}

/* The gateway's own kinds; anything else is for the backend to ask for. */
static bool use_scheme(struct cp_openapi_reader *reader, const json_t *scheme)
{
    const char *type = cp_openapi_text(reader, scheme, "x-apigateway-auth-type");
    const json_t *opt = json_object_get(scheme, "x-apigateway-auth-opt");
    const char *code = cp_openapi_text(reader, opt, "appcode-auth-type");
    cp_authentication *auth = reader->api->authentication;
    if (!*type)
        return false;
    if (gw_str_eq_nocase(gw_str_from(type), GW_STR("AppSigv1"))) {
        auth->type = CP_ENUM(AUTH_TYPE, APP);
        auth->app_code = gw_str_eq_nocase(gw_str_from(code), GW_STR("header"));
        auth->app_code_over_http = json_is_true(json_object_get(reader->own, "appCodeOverHttp"));
    } else if (gw_str_eq_nocase(gw_str_from(type), GW_STR("IAM")))
        auth->type = CP_ENUM(AUTH_TYPE, ACCOUNT);
    else
        auth->type = CP_ENUM(AUTH_TYPE, AUTHORIZER);
    return true;
}

static int read_requirement(struct cp_openapi_reader *reader, const json_t *requirement,
                            bool *ret_is_set, struct gw_error *err)
{
    const char *name;
    const json_t *scopes;
    json_object_foreach((json_t *)(uintptr_t)requirement, name, scopes)
    {
        const json_t *scheme;
        if (find_scheme(reader, name, &scheme, err) < 0)
            return -1;
        if (!*ret_is_set && use_scheme(reader, scheme))
            *ret_is_set = true;
        else if (scheme)
            cp_openapi_note(reader, "security \"%.64s\" (%.32s): left to the backend", name,
                            cp_openapi_text(reader, scheme, "type"));
        else
            cp_openapi_note(reader, "security \"%.64s\": not defined in the document", name);
    }
    return 0;
}

static int read_security(struct cp_openapi_reader *reader, struct gw_error *err)
{
    const json_t *security = json_object_get(reader->node, "security"), *item;
    bool is_set = false;
    size_t i;
    if (!security)
        security = json_object_get(reader->root, "security");
    cp_authentication *auth = GW_ARENA_NEW(reader->arena, cp_authentication);
    *auth = (cp_authentication)CP_INIT(AUTHENTICATION);
    auth->type = CP_ENUM(AUTH_TYPE, NONE);
    reader->api->authentication = auth;
    json_array_foreach(security, i, item)
    {
        if (!cp_openapi_spend(reader, 1))
            return cp_openapi_check_cost(reader, err);
        if (read_requirement(reader, item, &is_set, err) < 0)
            return -1;
    }
    /* "security: []" says that anybody may call. */
    reader->operation->says_authentication =
        is_set || (json_is_array(security) && json_array_size(security) == 0);
    return 0;
}

int cp_openapi_read_access(struct cp_openapi_reader *reader, struct gw_error *err)
{
    return read_protocol(reader, err) < 0 || read_security(reader, err) < 0 ? -1 : 0;
}
