/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_parameters.h"

#include "controlplane/model/check.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/model/check_path.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CONTEXT "$context."

/* Where a violation is: "request_parameters[3].name". */
struct place {
    const char *list;
    size_t index;
    char field[64];
};

static const char *at(struct place *place, const char *member)
{
    (void)snprintf(place->field, sizeof(place->field), "%s[%zu].%s", place->list, place->index,
                   member);
    return place->field;
}

/* The catalogue's code; the first one stays. */
static void set_apig(struct gw_error *err, const char *apig)
{
    if (!err->apig[0])
        (void)gw_error_apig(err, apig);
}

/* ---- what both lists share ---- */

/* An enum without a default. True: it is good. */
static bool check_choice(int value, int last, const char *field, struct gw_error *err)
{
    if (value > 0 && value <= last)
        return true;
    (void)gw_fail_field(err, field, value ? "is not known" : "required");
    return false;
}

bool cp_is_reserved_parameter(gw_str name)
{
    static const char *const prefixes[] = {"x-apig-", "x-sdk-"};
    for (size_t i = 0; i < GW_ARRAY_LEN(prefixes); i++) {
        gw_str prefix = gw_str_from(prefixes[i]);
        if (name.len >= prefix.len && gw_str_eq_nocase(gw_str_n(name.ptr, prefix.len), prefix))
            return true;
    }
    return gw_str_eq_nocase(name, GW_STR("x-stage"));
}

/* True: it can be compared. */
static bool check_name(const char *text, const char *field, struct gw_error *err)
{
    gw_str name = gw_str_from(text);
    if (!cp_param_name_is(name)) {
        (void)gw_fail_field(err, field,
                            "must be 1 to %d letters, digits or \"-_.\", a letter first",
                            CP_PARAM_NAME_MAX);
        return false;
    }
    if (cp_is_reserved_parameter(name))
        (void)gw_fail_field(err, field, "x-apig-*, x-sdk-* and x-stage are the gateway's own");
    return true;
}

static void check_printable(const char *text, const char *field, struct gw_error *err)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            (void)gw_fail_field(err, field, "must not hold control characters");
            return;
        }
    }
}

bool cp_is_number(gw_str text)
{
    char copy[CP_PARAMETER_VALUE_MAX + 1], *end;
    if (text.len == 0 || text.len > CP_PARAMETER_VALUE_MAX)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789+-.eE") != text.len || !strchr("-0123456789", copy[0]))
        return false;
    double value = strtod(copy, &end);
    return *end == '\0' && isfinite(value);
}

/* ---- of the request ---- */

static bool is_in_path(const cp_api *api, const char *name)
{
    return api->frontend && cp_path_has_param(api->frontend->path, name);
}

static void check_header_name(gw_str name, const char *field, struct gw_error *err)
{
    if (gw_str_eq_nocase(name, GW_STR("authorization")) ||
        gw_str_eq_nocase(name, GW_STR("x-auth-token")))
        (void)gw_fail_field(err, field, "Authorization and X-Auth-Token are the gateway's own");
    if (gw_str_find(name, '_') >= 0)
        (void)gw_fail_field(err, field, "without \"_\" in a header");
}

static void check_bounds(const cp_request_parameter *p, struct place *place, struct gw_error *err)
{
    bool is_number = p->type == CP_ENUM(PARAMETER_TYPE, NUMBER);
    bool has_numbers = p->min_number != 0 || p->max_number != 0;
    bool has_lengths = p->min_length != 0 || p->max_length != 0;
    if (has_numbers && !is_number)
        (void)gw_fail_field(err, at(place, p->min_number != 0 ? "min_number" : "max_number"),
                            "only with type NUMBER");
    if (!isfinite(p->min_number) || !isfinite(p->max_number))
        (void)gw_fail_field(err, at(place, isfinite(p->min_number) ? "max_number" : "min_number"),
                            "must be finite");
    else if (p->min_number > p->max_number)
        (void)gw_fail_field(err, at(place, "max_number"), "must not be less than min_number");
    if (has_lengths && is_number)
        (void)gw_fail_field(err, at(place, p->min_length != 0 ? "min_length" : "max_length"),
                            "only with type STRING");
    if (p->min_length < 0)
        (void)gw_fail_field(err, at(place, "min_length"), "must not be negative");
    if (p->max_length < 0 || (p->max_length > 0 && p->max_length < p->min_length))
        (void)gw_fail_field(err, at(place, "max_length"),
                            "must be 0, which is no bound, or not less than min_length");
}

/* What the parameter's own checks would refuse of a caller. NULL: nothing. */
static const char *refuses(const cp_request_parameter *p, const char *value)
{
    if (p->type == CP_ENUM(PARAMETER_TYPE, NUMBER)) {
        if (!cp_is_number(gw_str_from(value)))
            return "must be a number";
        double number = strtod(value, NULL);
        bool has_bounds = p->min_number != 0 || p->max_number != 0;
        if (has_bounds && (number < p->min_number || number > p->max_number))
            return "must be within min_number and max_number";
        return NULL;
    }
    size_t length = cp_characters(value);
    if (p->min_length > 0 && length < (size_t)p->min_length)
        return "must be within min_length and max_length";
    if (p->max_length > 0 && length > (size_t)p->max_length)
        return "must be within min_length and max_length";
    return NULL;
}

static bool is_listed(const cp_request_parameter *p, const char *value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(p->enumerations[i], value) == 0)
            return true;
    return false;
}

static void check_enumerations(const cp_request_parameter *p, struct place *place,
                               struct gw_error *err)
{
    size_t bytes = 0;
    if (p->n_enumerations > CP_PARAMETER_ENUMERATIONS_MAX) {
        (void)gw_fail_field(err, at(place, "enumerations"), "must be at most %d",
                            CP_PARAMETER_ENUMERATIONS_MAX);
        return;
    }
    for (size_t i = 0; i < p->n_enumerations; i++) {
        char member[48];
        const char *value = p->enumerations[i], *rule = refuses(p, value);
        (void)snprintf(member, sizeof(member), "enumerations[%zu]", i);
        bytes += strlen(value);
        if (!*value || strlen(value) > CP_PARAMETER_VALUE_MAX)
            (void)gw_fail_field(err, at(place, member), "must be 1 to %d bytes",
                                CP_PARAMETER_VALUE_MAX);
        else if (rule)
            (void)gw_fail_field(err, at(place, member), "%s", rule);
        else if (is_listed(p, value, i))
            (void)gw_fail_field(err, at(place, member), "is there twice");
    }
    if (bytes > CP_PARAMETER_ENUMERATIONS_BYTES_MAX)
        (void)gw_fail_field(err, at(place, "enumerations"), "must be at most %d bytes together",
                            CP_PARAMETER_ENUMERATIONS_BYTES_MAX);
}

/* Callers who leave it out must not be refused for what the gateway puts in. */
static void check_default(const cp_request_parameter *p, struct place *place, struct gw_error *err)
{
    const char *value = p->default_value, *field = at(place, "default_value");
    cp_check_bytes(value, CP_PARAMETER_VALUE_MAX, field, err);
    check_printable(value, field, err);
    if (!*value || strlen(value) > CP_PARAMETER_VALUE_MAX)
        return;
    const char *rule = refuses(p, value);
    bool is_wrong_number =
        p->type == CP_ENUM(PARAMETER_TYPE, NUMBER) && !cp_is_number(gw_str_from(value));
    if (rule && (p->validate || is_wrong_number))
        (void)gw_fail_field(err, field, "%s", rule);
    else if (p->validate && p->n_enumerations > 0 && !is_listed(p, value, p->n_enumerations))
        (void)gw_fail_field(err, field, "must be one of enumerations");
}

/* The same name twice at one place, without regard to case. */
static bool is_request_twin(const cp_api *api, size_t index)
{
    const cp_request_parameter *p = api->request_parameters[index];
    for (size_t i = 0; i < index; i++)
        if (api->request_parameters[i]->location == p->location &&
            gw_str_eq_nocase(gw_str_from(api->request_parameters[i]->name), gw_str_from(p->name)))
            return true;
    return false;
}

static void check_request_parameter(const cp_api *api, size_t index, struct gw_error *err)
{
    struct place place = {.list = "request_parameters", .index = index};
    const cp_request_parameter *p = api->request_parameters[index];
    bool has_name = check_name(p->name, at(&place, "name"), err);
    bool has_location = check_choice((int)p->location, CP_ENUM(PARAMETER_LOCATION, HEADER),
                                     at(&place, "location"), err);
    bool has_type =
        check_choice((int)p->type, CP_ENUM(PARAMETER_TYPE, NUMBER), at(&place, "type"), err);
    if (has_name && p->location == CP_ENUM(PARAMETER_LOCATION, HEADER))
        check_header_name(gw_str_from(p->name), at(&place, "name"), err);
    if (has_name && p->location == CP_ENUM(PARAMETER_LOCATION, PATH) && !is_in_path(api, p->name))
        (void)gw_fail_field(err, at(&place, "name"), "{%s} is no parameter of frontend.path",
                            p->name);
    if (has_name && has_location && is_request_twin(api, index))
        (void)gw_fail_field(err, at(&place, "name"), "is there twice");
    cp_check_bytes(p->description, CP_API_DESCRIPTION_MAX, at(&place, "description"), err);
    if (!has_type)
        return;
    check_bounds(p, &place, err);
    check_enumerations(p, &place, err);
    check_default(p, &place, err);
}

/* ---- of the backend ---- */

/* What of a request can be told to backends ($context.*); those of authorizers have a word of
 * their own behind. */
static bool is_context(gw_str value)
{
    static const char *const words[] = {"sourceIp",   "stage",     "apiId",     "apiName",
                                        "appId",      "appName",   "requestId", "serverAddr",
                                        "serverName", "handleTime"};
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++)
        if (gw_str_eq(value, gw_str_from(words[i])))
            return true;
    return false;
}

static void check_system(const cp_backend_parameter *p, struct place *place, struct gw_error *err)
{
    static const char *const authorizers[] = {CONTEXT "authorizer.frontend.",
                                              CONTEXT "authorizer.backend."};
    gw_str value = gw_str_from(p->value);
    for (size_t i = 0; i < GW_ARRAY_LEN(authorizers); i++)
        if (gw_str_has_prefix(value, gw_str_from(authorizers[i]))) {
            (void)gw_fail_field(err, at(place, "value"),
                                "\"%.64s\" needs an authorizer, which is not available in this "
                                "version",
                                p->value);
            set_apig(err, "APIG.2036");
            return;
        }
    size_t prefix = strlen(CONTEXT);
    if (!gw_str_has_prefix(value, GW_STR(CONTEXT)) ||
        !is_context(gw_str_n(value.ptr + prefix, value.len - prefix)))
        (void)gw_fail_field(err, at(place, "value"),
                            "must be " CONTEXT "sourceIp, stage, apiId, apiName, appId, appName, "
                            "requestId, serverAddr, serverName or handleTime");
}

static void check_mapped(const cp_api *api, const char *name, const char *field,
                         struct gw_error *err)
{
    size_t found = 0, count = GW_MIN(api->n_request_parameters, (size_t)CP_API_PARAMETERS_MAX);
    for (size_t i = 0; i < count; i++)
        found += gw_str_eq_nocase(gw_str_from(api->request_parameters[i]->name), gw_str_from(name));
    if (found > 1)
        (void)gw_fail_field(err, field, "\"%.64s\" is the name of %zu request parameters", name,
                            found);
    if (found != 0)
        return;
    (void)gw_fail_field(err, field, "\"%.64s\" is no request parameter", name);
    set_apig(err, "APIG.2028");
}

static void check_value(const cp_api *api, const cp_backend_parameter *p, struct place *place,
                        struct gw_error *err)
{
    const char *field = at(place, "value");
    if (!*p->value || strlen(p->value) > CP_PARAMETER_VALUE_MAX) {
        (void)gw_fail_field(err, field, "must be 1 to %d bytes", CP_PARAMETER_VALUE_MAX);
        return;
    }
    check_printable(p->value, field, err);
    if (p->origin == CP_ENUM(PARAMETER_ORIGIN, REQUEST))
        check_mapped(api, p->value, field, err);
    else if (p->origin == CP_ENUM(PARAMETER_ORIGIN, SYSTEM))
        check_system(p, place, err);
}

/* Of headers without regard to case. */
static bool is_backend_twin(const cp_api *api, size_t index)
{
    const cp_backend_parameter *p = api->backend_parameters[index];
    bool is_header = p->location == CP_ENUM(PARAMETER_LOCATION, HEADER);
    for (size_t i = 0; i < index; i++) {
        const cp_backend_parameter *other = api->backend_parameters[i];
        gw_str a = gw_str_from(other->name), b = gw_str_from(p->name);
        if (other->location == p->location &&
            (is_header ? gw_str_eq_nocase(a, b) : gw_str_eq(a, b)))
            return true;
    }
    return false;
}

/* As "{name}" somewhere in it. */
static bool is_in_backend_path(const cp_api *api, const char *name)
{
    char insert[CP_PARAM_NAME_MAX + 3];
    if (!api->backend || api->backend->kind_case != CP_ONEOF(BACKEND, HTTP))
        return false;
    const char *path = api->backend->http->path;
    if (!*path) /* as it came */
        return is_in_path(api, name);
    (void)snprintf(insert, sizeof(insert), "{%s}", name);
    return strstr(path, insert) != NULL;
}

static void check_backend_name(const cp_api *api, size_t index, struct place *place,
                               struct gw_error *err)
{
    const cp_backend_parameter *p = api->backend_parameters[index];
    const char *field = at(place, "name");
    if (p->location == CP_ENUM(PARAMETER_LOCATION, HEADER) &&
        (cp_is_framing_header(gw_str_from(p->name)) ||
         gw_str_eq_nocase(gw_str_from(p->name), GW_STR("host"))))
        (void)gw_fail_field(err, field, "is set by the gateway");
    if (p->location == CP_ENUM(PARAMETER_LOCATION, PATH) && !is_in_backend_path(api, p->name))
        (void)gw_fail_field(err, field, "{%s} is not in the backend's path", p->name);
    if (is_backend_twin(api, index))
        (void)gw_fail_field(err, field, "is there twice");
}

static void check_backend_parameter(const cp_api *api, size_t index, struct gw_error *err)
{
    struct place place = {.list = "backend_parameters", .index = index};
    const cp_backend_parameter *p = api->backend_parameters[index];
    bool has_name = check_name(p->name, at(&place, "name"), err);
    bool has_location = check_choice((int)p->location, CP_ENUM(PARAMETER_LOCATION, HEADER),
                                     at(&place, "location"), err);
    if (has_name && has_location)
        check_backend_name(api, index, &place, err);
    if (check_choice((int)p->origin, CP_ENUM(PARAMETER_ORIGIN, SYSTEM), at(&place, "origin"), err))
        check_value(api, p, &place, err);
    cp_check_bytes(p->description, CP_API_DESCRIPTION_MAX, at(&place, "description"), err);
}

/* ---- all ---- */

void cp_fill_parameters(cp_api *api)
{
    for (size_t i = 0; i < api->n_request_parameters; i++)
        if (api->request_parameters[i]->location == CP_ENUM(PARAMETER_LOCATION, PATH))
            api->request_parameters[i]->required = true;
}

void cp_check_parameters(const cp_api *api, struct gw_error *err)
{
    if (api->n_request_parameters > CP_API_PARAMETERS_MAX)
        (void)gw_fail_field(err, "request_parameters", "must be at most %d", CP_API_PARAMETERS_MAX);
    if (api->n_backend_parameters > CP_API_PARAMETERS_MAX)
        (void)gw_fail_field(err, "backend_parameters", "must be at most %d", CP_API_PARAMETERS_MAX);
    if (api->n_backend_parameters > 0 && api->backend &&
        api->backend->kind_case == CP_ONEOF(BACKEND, MOCK))
        (void)gw_fail_field(err, "backend_parameters", "none with a mock: nobody gets them");
    for (size_t i = 0; i < GW_MIN(api->n_request_parameters, (size_t)CP_API_PARAMETERS_MAX); i++)
        check_request_parameter(api, i, err);
    for (size_t i = 0; i < GW_MIN(api->n_backend_parameters, (size_t)CP_API_PARAMETERS_MAX); i++)
        check_backend_parameter(api, i, err);
}
