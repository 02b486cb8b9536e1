/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_api.h"

#include "controlplane/model/check.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/model/check_parameters.h"
#include "controlplane/model/check_path.h"
#include "controlplane/model/names.h"

#include <stdio.h>

#define HEALTH_PATH "/apic/health_check"
#define DISPLAY_NAME_MIN 3
#define DISPLAY_NAME_MAX 255
#define TAG_MAX 128

bool cp_protocol_is_grpc(Penstock__Admin__V1__Protocol protocol)
{
    return protocol == CP_ENUM(PROTOCOL, GRPCS) || protocol == CP_ENUM(PROTOCOL, GRPC) ||
           protocol == CP_ENUM(PROTOCOL, GRPC_BOTH);
}

/* ---- defaults ---- */

static void fill_frontend(cp_frontend *frontend)
{
    if (frontend->protocol == CP_ENUM(PROTOCOL, UNSPECIFIED))
        frontend->protocol = CP_ENUM(PROTOCOL, HTTPS);
    bool is_grpc = cp_protocol_is_grpc(frontend->protocol);
    if (is_grpc && frontend->method == CP_ENUM(HTTP_METHOD, UNSPECIFIED))
        frontend->method = CP_ENUM(HTTP_METHOD, POST);
    if (frontend->match_mode != CP_ENUM(MATCH_MODE, UNSPECIFIED))
        return;
    bool is_exact = !is_grpc || cp_path_grpc_names(frontend->path) == 2;
    frontend->match_mode = is_exact ? CP_ENUM(MATCH_MODE, EXACT) : CP_ENUM(MATCH_MODE, PREFIX);
}

void cp_fill_api(struct gw_arena *arena, cp_api *api)
{
    if (!api->display_name[0])
        api->display_name = gw_arena_strdup(arena, cp_name_last(api->name));
    if (api->frontend)
        fill_frontend(api->frontend);
    if (!api->authentication) {
        api->authentication = GW_ARENA_NEW(arena, cp_authentication);
        *api->authentication = (cp_authentication)CP_INIT(AUTHENTICATION);
    }
    if (api->authentication->type == CP_ENUM(AUTH_TYPE, UNSPECIFIED))
        api->authentication->type = CP_ENUM(AUTH_TYPE, NONE);
    if (api->backend)
        cp_fill_backend(arena, api->backend);
    cp_fill_parameters(api);
}

/* ---- what describes it ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters, digits and marks; the first one no mark. */
static bool is_word(gw_str text, bool letter_first, const char *marks)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_mark = i > 0 && c != '\0' && strchr(marks, c);
        if (!is_letter(c) && !is_mark && (!is_digit(c) || (letter_first && i == 0)))
            return false;
    }
    return true;
}

bool cp_is_api_display_name(gw_str text)
{
    return text.len >= DISPLAY_NAME_MIN && text.len <= DISPLAY_NAME_MAX &&
           is_word(text, false, "-_./:()");
}

static void check_display_name(const cp_api *api, struct gw_error *err)
{
    gw_str text = gw_str_from(api->display_name);
    /* The id is the default, and may be shorter. */
    if (text.len == 0 || strcmp(api->display_name, cp_name_last(api->name)) == 0)
        return;
    if (!cp_is_api_display_name(text))
        (void)gw_fail_field(err, "display_name",
                            "must be %d to %d letters, digits or \"-_./:()\", a letter or a digit "
                            "first",
                            DISPLAY_NAME_MIN, DISPLAY_NAME_MAX);
}

void cp_check_tags(char *const *tags, size_t count, struct gw_error *err)
{
    if (count > CP_API_TAGS_MAX) {
        (void)gw_fail_field(err, "tags", "must be at most %d", CP_API_TAGS_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char field[32];
        gw_str tag = gw_str_from(tags[i]);
        (void)snprintf(field, sizeof(field), "tags[%zu]", i);
        if (tag.len == 0 || tag.len > TAG_MAX || !is_word(tag, true, "*-#%.:_"))
            (void)gw_fail_field(err, field,
                                "must be 1 to %d letters, digits or \"*-#%%.:_\", a letter first",
                                TAG_MAX);
    }
}

/* ---- what callers send ---- */

static bool is_health_check(const cp_frontend *frontend)
{
    gw_str path = gw_str_from(frontend->path);
    if (frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX) && gw_str_has_suffix(path, GW_STR("/")))
        path.len--;
    return frontend->method == CP_ENUM(HTTP_METHOD, GET) && gw_str_eq(path, GW_STR(HEALTH_PATH));
}

/* True: the path is good. */
static bool check_grpc_frontend(const cp_frontend *frontend, struct gw_error *err)
{
    int names = cp_path_grpc_names(frontend->path);
    if (frontend->method != CP_ENUM(HTTP_METHOD, UNSPECIFIED) &&
        frontend->method != CP_ENUM(HTTP_METHOD, POST))
        (void)gw_fail_field(err, "frontend.method", "is POST with gRPC");
    if (names < 0 || strlen(frontend->path) > CP_PATH_MAX)
        (void)gw_fail_field(err, "frontend.path",
                            "must be \"/\", \"/{package}.{service}\" or "
                            "\"/{package}.{service}/{method}\" with gRPC, at most %d bytes",
                            CP_PATH_MAX);
    else if (names < 2 && frontend->match_mode == CP_ENUM(MATCH_MODE, EXACT))
        (void)gw_fail_field(err, "frontend.match_mode",
                            "with gRPC exact is for the path of one method only");
    return names >= 0;
}

/* True: the path is good. */
static bool check_frontend(const cp_frontend *frontend, struct gw_error *err)
{
    if (!frontend) {
        (void)gw_fail_field(err, "frontend", "required: method and path");
        return false;
    }
    if ((unsigned)frontend->match_mode > CP_ENUM(MATCH_MODE, PREFIX))
        (void)gw_fail_field(err, "frontend.match_mode", "is not known");
    if (cp_protocol_is_grpc(frontend->protocol))
        return check_grpc_frontend(frontend, err);
    if ((unsigned)frontend->protocol > CP_ENUM(PROTOCOL, BOTH))
        (void)gw_fail_field(err, "frontend.protocol", "is not known");
    if (frontend->method == CP_ENUM(HTTP_METHOD, UNSPECIFIED))
        (void)gw_fail_field(err, "frontend.method", "required");
    else if ((unsigned)frontend->method > CP_ENUM(HTTP_METHOD, ANY))
        (void)gw_fail_field(err, "frontend.method", "is not known");
    bool is_prefix = frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX);
    if (cp_path_check(frontend->path, is_prefix, "frontend.path", err))
        return false;
    if (is_health_check(frontend))
        (void)gw_fail_field(err, "frontend.path", "GET " HEALTH_PATH " is the gateway's own");
    return true;
}

/* ---- who may call ---- */

static void check_authentication(const cp_authentication *auth, struct gw_error *err)
{
    if (!auth)
        return;
    bool is_app = auth->type == CP_ENUM(AUTH_TYPE, APP);
    if (auth->authorizer[0])
        cp_refuse_for_now(err, "authentication.authorizer");
    if (auth->type == CP_ENUM(AUTH_TYPE, ACCOUNT) || auth->type == CP_ENUM(AUTH_TYPE, AUTHORIZER))
        cp_refuse_for_now(err, "authentication.type");
    else if ((unsigned)auth->type > CP_ENUM(AUTH_TYPE, AUTHORIZER))
        (void)gw_fail_field(err, "authentication.type", "is not known");
    if (auth->app_code && !is_app)
        (void)gw_fail_field(err, "authentication.app_code", "only with type APP");
    if (!auth->app_code && is_app)
        (void)gw_fail_field(err, "authentication.app_code",
                            "must be set with type APP: signatures are not available yet");
    if (auth->app_code_over_http && !auth->app_code)
        (void)gw_fail_field(err, "authentication.app_code_over_http", "only with app_code");
}

/* ---- gRPC ---- */

/* The frontend's protocol and the backend go together, and messages have no parameters. */
static void check_grpc(const cp_api *api, struct gw_error *err)
{
    bool is_grpc = api->frontend && cp_protocol_is_grpc(api->frontend->protocol);
    bool has_backend = api->backend && api->backend->kind_case != CP_ONEOF(BACKEND, _NOT_SET);
    bool has_grpc = has_backend && api->backend->kind_case == CP_ONEOF(BACKEND, GRPC);
    if (is_grpc && has_backend && !has_grpc &&
        api->backend->kind_case != CP_ONEOF(BACKEND, FUNCTION))
        (void)gw_fail_field(err, "backend", "must be grpc with a gRPC protocol");
    if (!is_grpc && has_grpc)
        (void)gw_fail_field(err, "frontend.protocol",
                            "must be PROTOCOL_GRPCS, PROTOCOL_GRPC or PROTOCOL_GRPC_BOTH with a "
                            "gRPC backend");
    if (is_grpc && api->n_request_parameters > 0)
        (void)gw_fail_field(err, "request_parameters", "none with gRPC");
    if (is_grpc && api->n_backend_parameters > 0)
        (void)gw_fail_field(err, "backend_parameters", "none with gRPC");
}

/* ---- all ---- */

static struct cp_inserts inserts_of(const cp_api *api)
{
    struct cp_inserts inserts = {.frontend_path = api->frontend ? api->frontend->path : ""};
    size_t count = GW_MIN(api->n_backend_parameters, (size_t)CP_API_PARAMETERS_MAX);
    for (size_t i = 0; i < count; i++)
        if (api->backend_parameters[i]->location == CP_ENUM(PARAMETER_LOCATION, PATH))
            inserts.names[inserts.count++] = api->backend_parameters[i]->name;
    return inserts;
}

int cp_check_api(const cp_api *api, struct gw_error *err)
{
    check_display_name(api, err);
    cp_check_bytes(api->description, CP_API_DESCRIPTION_MAX, "description", err);
    bool has_path = check_frontend(api->frontend, err);
    struct cp_inserts inserts = inserts_of(api);
    cp_check_backend(api->backend, has_path ? &inserts : NULL, err);
    check_grpc(api, err);
    check_authentication(api->authentication, err);
    cp_check_parameters(api, err);
    cp_check_tags(api->tags, api->n_tags, err);
    cp_check_bytes(api->version, CP_API_VERSION_MAX, "version", err);
    if (api->cors)
        cp_refuse_for_now(err, "cors");
    if (api->gateway_response[0])
        cp_refuse_for_now(err, "gateway_response");
    if (api->n_backend_rules > 0)
        cp_refuse_for_now(err, "backend_rules");
    return err->violation_count > 0 ? -1 : 0;
}

int cp_check_api_publishable(const cp_api *api, struct gw_error *err)
{
    bool has_request = api->n_request_parameters > 0;
    if (!has_request && api->n_backend_parameters == 0)
        return 0;
    const char *name =
        has_request ? api->request_parameters[0]->name : api->backend_parameters[0]->name;
    (void)gw_fail_field(err, has_request ? "request_parameters" : "backend_parameters",
                        "\"%s\" cannot be published: parameters are not available in this version",
                        name);
    err->code = GW_UNIMPLEMENTED;
    return -1;
}
