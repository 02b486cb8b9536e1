/* SPDX-License-Identifier: Apache-2.0 */
/* A route: what it matches, who may call, where it goes, and its chain of filters. */
#include "dataplane/chain.h"
#include "dataplane/http/uri.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/snapshot/parts.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <stdio.h>

#define BLOCK_BYTES 256 /* most of what a route has fits into two */

typedef Penstock__Agent__V1__Route route_message;
typedef Penstock__Agent__V1__HttpBackend http_message;

/* One route in the making. */
struct job {
    const struct dp_parts *parts;
    const route_message *message;
    struct dp_route_unit *unit;
    struct gw_arena *arena; /* of the unit */
    struct gw_error *err;
};

static int missing(struct gw_error *err, const char *field, const char *name)
{
    return gw_fail_field(err, field, "%.128s is not there", name);
}

/* ---- names */

static bool is_word(const char *text)
{
    return *text && !strpbrk(text, "/@");
}

/* "groups/g/apis/a@RELEASE" says the group, the API and the environment once more: they must agree,
 * so that a route's place follows from its name. */
static int check_names(const route_message *message, struct gw_error *err)
{
    if (dp_compile_check_name(message->name, "groups/", err) < 0)
        return -1;
    size_t group_len = strlen(message->group);
    if (group_len <= strlen("groups/") || !is_word(message->group + strlen("groups/")) ||
        strncmp(message->name, message->group, group_len) != 0)
        return gw_fail_field(err, "group", "does not fit the name");
    const char *rest = message->name + group_len;
    size_t api_len = strlen(message->api);
    if (strncmp(rest, "/apis/", 6) != 0 || strncmp(message->name, message->api, api_len) != 0 ||
        api_len <= group_len + 6 || !is_word(message->api + group_len + 6))
        return gw_fail_field(err, "api", "does not fit the name");
    rest = message->name + api_len;
    if (*rest != '@' || !is_word(rest + 1) || strcmp(rest + 1, message->environment) != 0)
        return gw_fail_field(err, "environment", "does not fit the name");
    return dp_compile_check_text(message->api_name, "api_name", err);
}

static int method_of(const char *text, unsigned *ret_method)
{
    enum dp_method method = dp_method_from(gw_str_from(text));
    bool is_any = strcmp(text, "ANY") == 0;
    *ret_method = is_any ? DP_METHOD_ANY : (unsigned)method;
    bool is_known = method != DP_METHOD_OTHER && method != DP_METHOD_CONNECT;
    return is_any || is_known ? 0 : -1;
}

/* What the tree will say is asked here as well: a pattern that is none is this route's fault alone.
 */
static int check_pattern(const struct job *job)
{
    struct dp_route_def def = {
        .method = job->unit->method,
        .is_prefix = job->message->prefix,
        .pattern = gw_str_from(job->message->path),
        .value = job,
    };
    if (dp_route_def_check(&def) < 0)
        return gw_fail_field(job->err, "path", "is no path to match: %.128s", job->message->path);
    return 0;
}

static int compile_frontend(const struct job *job)
{
    const route_message *message = job->message;
    struct dp_route *route = &job->unit->route;
    if (check_names(message, job->err) < 0)
        return -1;
    if (method_of(message->method, &job->unit->method) < 0)
        return gw_fail_field(job->err, "method", "is not known: %.32s", message->method);
    if (!message->http && !message->https)
        return gw_fail_field(job->err, "http", "or https must be set");
    if (check_pattern(job) < 0)
        return -1;
    route->name = gw_arena_dup(job->arena, gw_str_from(message->name));
    route->group = gw_str_n(route->name.ptr, strlen(message->group));
    size_t api_at = route->group.len + strlen("/apis/");
    route->api_id = gw_str_n(route->name.ptr + api_at, strlen(message->api) - api_at);
    size_t environment_at = strlen(message->api) + 1;
    route->environment =
        gw_str_n(route->name.ptr + environment_at, route->name.len - environment_at);
    route->api_name = gw_arena_dup(job->arena, gw_str_from(message->api_name));
    route->path = gw_arena_dup(job->arena, gw_str_from(message->path));
    route->is_prefix = message->prefix;
    route->http = message->http;
    route->https = message->https;
    route->grpc = message->grpc;
    route->hash = dp_compile_name_hash(job->parts, route->name);
    return 0;
}

/* ---- backend path */

/* Index of the path parameter of that name among those of "/a/{x}/{rest+}"; -1: none. */
static int param_index(gw_str pattern, gw_str name)
{
    int index = 0;
    while (pattern.ptr) {
        gw_str segment = gw_str_split(&pattern, '/');
        if (segment.len < 3 || segment.ptr[0] != '{')
            continue;
        gw_str param = gw_str_n(segment.ptr + 1, segment.len - 2);
        if (param.ptr[param.len - 1] == '+')
            param.len--;
        if (gw_str_eq(param, name))
            return index;
        index++;
    }
    return -1;
}

static int add_param(const struct job *job, gw_str name, unsigned *params)
{
    if (name.len > 0 && name.ptr[name.len - 1] == '+')
        name.len--;
    int index = param_index(job->unit->route.path, name);
    if (index < 0)
        return gw_fail_field(job->err, "backend.http.path", "{%.*s} is no parameter of the path",
                             (int)GW_MIN(name.len, 64), name.ptr);
    params[job->unit->route.backend.param_count++] = (unsigned)index;
    return 0;
}

/* literal[0] param[0] literal[1] ...: literals as they go over the wire. */
static int cut_template(const struct job *job, gw_str text, gw_str *literals, unsigned *params)
{
    struct dp_backend *backend = &job->unit->route.backend;
    for (;;) {
        ptrdiff_t open = gw_str_find(text, '{');
        gw_str literal = open < 0 ? text : gw_str_n(text.ptr, (size_t)open);
        if (gw_str_find(literal, '}') >= 0)
            return gw_fail_field(job->err, "backend.http.path", "has a } without a {");
        literal = gw_arena_dup(job->arena, literal);
        literals[backend->param_count] = dp_uri_encode_path(job->arena, literal, DP_URI_SLASH_KEEP);
        if (open < 0)
            return 0;
        text = gw_str_n(text.ptr + open + 1, text.len - (size_t)open - 1);
        ptrdiff_t close = gw_str_find(text, '}');
        if (close < 0)
            return gw_fail_field(job->err, "backend.http.path", "has a { without a }");
        if (backend->param_count == DP_ROUTE_PARAMS_MAX)
            return gw_fail_field(job->err, "backend.http.path", "must have at most %d parameters",
                                 DP_ROUTE_PARAMS_MAX);
        if (add_param(job, gw_str_n(text.ptr, (size_t)close), params) < 0)
            return -1;
        text = gw_str_n(text.ptr + close + 1, text.len - (size_t)close - 1);
    }
}

static int compile_path(const struct job *job, gw_str text)
{
    struct dp_backend *backend = &job->unit->route.backend;
    gw_str normal;
    if (text.len == 0)
        return 0;
    if (text.len > DP_ROUTE_PATTERN_MAX)
        return gw_fail_field(job->err, "backend.http.path", "must be at most %d bytes",
                             DP_ROUTE_PATTERN_MAX);
    int bad = dp_uri_normalise(job->arena, text, DP_URI_SLASH_KEEP, &normal);
    if (bad < 0)
        return gw_fail_field(job->err, "backend.http.path", "%s", dp_uri_error_text(bad));
    unsigned holes = 0;
    for (size_t i = 0; i < text.len; i++)
        holes += text.ptr[i] == '{';
    gw_str *literals = GW_ARENA_ARRAY(job->arena, gw_str, holes + 1);
    unsigned *params = GW_ARENA_ARRAY(job->arena, unsigned, holes + 1);
    backend->has_path = true;
    backend->literals = literals;
    backend->params = params;
    return cut_template(job, text, literals, params);
}

/* ---- backend */

static int find_channel(const struct job *job, const char *name)
{
    struct dp_unit *found =
        job->parts->find(job->parts, PENSTOCK__AGENT__V1__KIND__KIND_CHANNEL, name);
    if (!found)
        return missing(job->err, "backend.http.channel", name);
    dp_unit_keep(&job->unit->unit, found);
    job->unit->route.backend.channel = &((struct dp_channel_unit *)found)->channel;
    return 0;
}

/* An address is a channel of one member. */
static int make_channel(const struct job *job, const http_message *http)
{
    Penstock__Agent__V1__Member member = PENSTOCK__AGENT__V1__MEMBER__INIT;
    member.host = http->host;
    member.port = http->port;
    member.weight = 1;
    if (dp_compile_check_member(&member, "backend.http", job->err) < 0)
        return -1;
    struct dp_member *compiled = GW_ARENA_NEW(job->arena, struct dp_member);
    *compiled = dp_compile_member(job->parts, &job->unit->unit, &member);
    struct dp_channel *channel = GW_ARENA_NEW(job->arena, struct dp_channel);
    *channel = (struct dp_channel){
        .name = gw_arena_printf(job->arena, "%s:%u", http->host, http->port),
        .members = compiled,
        .member_count = 1,
        .cursor = gw_arena_zalloc(job->arena, sizeof(_Atomic uint64_t)),
    };
    job->unit->route.backend.channel = channel;
    return 0;
}

/* host, host:port, [v6] or [v6]:port. */
static bool is_authority(gw_str text)
{
    uint64_t port = 0;
    size_t end = text.len; /* of the host */
    while (end > 0 && text.ptr[end - 1] != ':' && text.ptr[end - 1] != ']')
        end--;
    if (end > 0 && text.ptr[end - 1] == ':') {
        if (gw_str_to_u64(gw_str_n(text.ptr + end, text.len - end), UINT16_MAX, &port) < 0)
            return false;
        text.len = end - 1;
    }
    bool is_bare_v6 = gw_str_find(text, ':') >= 0 && text.ptr[0] != '[';
    return dp_compile_is_host(text) && !is_bare_v6;
}

static int find_certificate(const struct job *job, const http_message *http)
{
    struct dp_unit *found = job->parts->find(
        job->parts, PENSTOCK__AGENT__V1__KIND__KIND_CERTIFICATE, http->certificate);
    if (!http->tls)
        return gw_fail_field(job->err, "backend.http.certificate", "goes with tls");
    if (!found)
        return missing(job->err, "backend.http.certificate", http->certificate);
    dp_unit_keep(&job->unit->unit, found);
    job->unit->route.backend.certificate = &((struct dp_certificate_unit *)found)->certificate;
    return 0;
}

static int compile_http(const struct job *job, const http_message *http)
{
    struct dp_backend *backend = &job->unit->route.backend;
    unsigned method = DP_METHOD_OTHER;
    if (http->method[0] && (method_of(http->method, &method) < 0 || method == DP_METHOD_ANY))
        return gw_fail_field(job->err, "backend.http.method", "is not known: %.32s", http->method);
    if (http->host_header[0] && !is_authority(gw_str_from(http->host_header)))
        return gw_fail_field(job->err, "backend.http.host_header", "is no host: %.64s",
                             http->host_header);
    if (http->timeout_ms < 1 || http->timeout_ms > DP_COMPILE_TIMEOUT_MAX_MS)
        return gw_fail_field(job->err, "backend.http.timeout_ms", "must be 1 to %d",
                             DP_COMPILE_TIMEOUT_MAX_MS);
    if (http->retry_count < -1 || http->retry_count > DP_COMPILE_RETRIES_MAX)
        return gw_fail_field(job->err, "backend.http.retry_count", "must be -1 to %d",
                             DP_COMPILE_RETRIES_MAX);
    if (compile_path(job, gw_str_from(http->path)) < 0)
        return -1;
    backend->kind = DP_BACKEND_HTTP;
    backend->tls = http->tls;
    backend->http2 = http->http2 || job->message->grpc;
    backend->method = (enum dp_method)method;
    backend->host_header = gw_arena_dup(job->arena, gw_str_from(http->host_header));
    backend->timeout_ms = http->timeout_ms;
    backend->retry_count = http->retry_count;
    if (http->certificate[0] && find_certificate(job, http) < 0)
        return -1;
    bool has_channel = http->channel[0] != '\0';
    if (has_channel == (http->host[0] != '\0'))
        return gw_fail_field(job->err, "backend.http", "must have a channel or a host");
    return has_channel ? find_channel(job, http->channel) : make_channel(job, http);
}

static int compile_backend(const struct job *job)
{
    const Penstock__Agent__V1__Backend *backend = job->message->backend;
    if (backend && backend->kind_case == PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP)
        return compile_http(job, backend->http);
    if (!backend || backend->kind_case != PENSTOCK__AGENT__V1__BACKEND__KIND_MOCK)
        return gw_fail_field(job->err, "backend", "must be http or mock");
    job->unit->route.backend.kind = DP_BACKEND_MOCK; /* the filter of that name answers */
    return 0;
}

/* ---- chain */

static int find_policies(const struct job *job, const struct dp_policy_unit **ret_policies)
{
    const route_message *message = job->message;
    for (size_t i = 0; i < message->n_policies; i++) {
        struct dp_unit *found = job->parts->find(job->parts, PENSTOCK__AGENT__V1__KIND__KIND_POLICY,
                                                 message->policies[i]);
        if (!found)
            return missing(job->err, "policies", message->policies[i]);
        ret_policies[i] = (const struct dp_policy_unit *)found;
        for (size_t k = 0; k < i; k++) {
            if (ret_policies[k]->filter == ret_policies[i]->filter)
                return gw_fail_field(job->err, "policies", "two are of the kind %s",
                                     ret_policies[i]->filter->name);
        }
        dp_unit_keep(&job->unit->unit, found);
    }
    return 0;
}

/* 1: the filter is part of the chain; 0: not; -1 with err. */
static int compile_link(const struct job *job, const struct dp_filter *filter,
                        const struct dp_policy_unit **policies, const void **ret_conf)
{
    *ret_conf = NULL;
    for (size_t i = 0; filter->policy_kind && i < job->message->n_policies; i++) {
        if (policies[i]->filter == filter) {
            *ret_conf = policies[i]->conf;
            return 1;
        }
    }
    if (filter->policy_kind || !filter->applies(&job->message->base))
        return 0;
    struct dp_compile compile = {.arena = job->arena, .limiter = job->parts->env->limiter};
    if (filter->compile && filter->compile(&compile, &job->message->base, ret_conf, job->err) < 0)
        return -1;
    return 1;
}

static unsigned count_links(const struct job *job, const struct dp_policy_unit **policies)
{
    unsigned count = 0;
    for (unsigned i = 0; i < dp_chain_filter_count; i++) {
        const struct dp_filter *filter = dp_chain_filters[i];
        bool is_bound = !filter->policy_kind && filter->applies(&job->message->base);
        for (size_t k = 0; filter->policy_kind && k < job->message->n_policies; k++)
            is_bound |= policies[k]->filter == filter;
        count += is_bound;
    }
    return count;
}

static int compile_chain(const struct job *job)
{
    const struct dp_policy_unit *policies[DP_COMPILE_POLICIES_MAX];
    struct dp_route *route = &job->unit->route;
    if (job->message->n_policies > DP_COMPILE_POLICIES_MAX)
        return gw_fail_field(job->err, "policies", "must be at most %d", DP_COMPILE_POLICIES_MAX);
    if (find_policies(job, policies) < 0)
        return -1;
    struct dp_link *links = GW_ARENA_ARRAY(job->arena, struct dp_link, count_links(job, policies));
    for (unsigned i = 0; i < dp_chain_filter_count; i++) {
        const void *conf;
        int part = compile_link(job, dp_chain_filters[i], policies, &conf);
        if (part < 0)
            return -1;
        if (part == 0)
            continue;
        links[route->link_count++] =
            (struct dp_link){dp_chain_filters[i], conf, (uint32_t)route->scratch_bytes};
        route->scratch_bytes += dp_chain_scratch_bytes(dp_chain_filters[i]);
    }
    route->links = links;
    return 0;
}

static void unref_stats(void *stats)
{
    dp_route_stats_unref(stats);
}

static int compile(const struct job *job)
{
    const route_message *message = job->message;
    if (compile_frontend(job) < 0)
        return -1;
    if (!job->parts->find(job->parts, PENSTOCK__AGENT__V1__KIND__KIND_GROUP, message->group))
        return missing(job->err, "group", message->group);
    if (compile_backend(job) < 0 || compile_chain(job) < 0)
        return -1;
    job->unit->route.stats = dp_route_stats_get(job->parts->env->stats, job->unit->route.name);
    gw_arena_defer(job->arena, unref_stats, job->unit->route.stats);
    return 0;
}

struct dp_unit *dp_compile_route(const struct dp_parts *parts, const route_message *message,
                                 struct gw_error *err)
{
    struct dp_route_unit *unit = dp_unit_new(sizeof *unit, BLOCK_BYTES);
    struct job job = {parts, message, unit, unit->unit.arena, err};
    if (compile(&job) == 0)
        return &unit->unit;
    dp_unit_unref(&unit->unit);
    return NULL;
}
