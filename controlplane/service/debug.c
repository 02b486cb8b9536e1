/* SPDX-License-Identifier: Apache-2.0 */
/* DebugApi: one request of an API through an agent. A draft is built into what agents get as a
 * release of it would be, by the same code, in an environment that nobody else can name. */
#include "controlplane/service/debug.h"

#include "common/message.h"
#include "controlplane/agents/debug.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/model/check_debug.h"
#include "controlplane/model/variables.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/domains.h"
#include "controlplane/service/history.h"
#include "controlplane/snapshot/build.h"

#include <stdlib.h>

#define DRAFT_ENVIRONMENT "debug"  /* in the builder's state */
#define AGENT_ENVIRONMENT ":debug" /* no environment's name */
#define BACKEND_TIMEOUT_MAX_MS 60000
#define WAIT_MS 65000
#define MARGIN_MS 200 /* kept back from deadlines, so that who waits still gets the answer */
#define TRUNCATED "[TRUNCATED]"
#define FAILURE(name) PENSTOCK__AGENT__V1__DEBUG_FAILURE__DEBUG_FAILURE_##name

struct job {
    const struct cp_call *call;
    const cp_debug_api_request *asked;
    const cp_api *draft;
    struct cp_debug_target target;
    cp_debug_call ask;
};

/* ---- the draft as agents get it ---- */

static int refuse_variables(const cp_api *draft, struct gw_error *err)
{
    struct cp_reference_field fields[CP_REFERENCE_FIELDS_MAX];
    unsigned count = cp_reference_fields(draft->backend, fields);
    for (unsigned i = 0; i < count; i++) {
        gw_str rest = gw_str_from(*fields[i].text), part;
        while (rest.len > 0) {
            if (!cp_reference_take(&rest, &part))
                continue;
            (void)gw_fail(err, GW_FAILED_PRECONDITION,
                          "%s refers to #%.*s#, and a draft is in no environment: publish it and "
                          "debug in mode CONSUMER",
                          fields[i].field, GW_STR_ARG(part));
            return gw_error_reason(err, "VARIABLES");
        }
    }
    return 0;
}

/* As the store would have it. */
static int put(struct job *job, struct cp_state *state, enum cp_kind_id kind, const char *name,
               const ProtobufCMessage *message, struct gw_error *err)
{
    struct gw_map touched;
    struct gw_arena *arena = job->call->arena;
    gw_map_init(&touched);
    int result = cp_state_put(state, cp_key_of(arena, kind, name), gw_message_pack(arena, message),
                              1, &touched, err);
    gw_map_done(&touched);
    return result;
}

/* What the backend names; that it is not there is told by the builder. */
static int put_stored(struct job *job, struct cp_state *state, enum cp_kind_id kind,
                      const char *name, struct gw_error *err)
{
    struct cp_stored stored;
    if (!*name)
        return 0;
    if (cp_find(job->call, kind, name, &stored, err) < 0)
        return -1;
    return stored.message ? put(job, state, kind, name, stored.message, err) : 0;
}

static int put_release(struct job *job, struct cp_state *state, struct gw_error *err)
{
    struct gw_arena *arena = job->call->arena;
    cp_release *release = cp_freeze_api(arena, job->draft, job->draft->etag);
    cp_publication publication = CP_INIT(PUBLICATION);
    const char *environment = "environments/" DRAFT_ENVIRONMENT;
    release->name = cp_release_name(arena, job->draft->name, environment, 1);
    release->number = 1;
    publication.name = cp_publication_name(arena, job->draft->name, environment);
    publication.release = release->name;
    if (put(job, state, CP_KIND_RELEASE, release->name, &release->base, err) < 0)
        return -1;
    return put(job, state, CP_KIND_PUBLICATION, publication.name, &publication.base, err);
}

static int fill_state(struct job *job, struct cp_state *state, struct gw_error *err)
{
    const cp_backend *backend = job->draft->backend;
    if (put_release(job, state, err) < 0)
        return -1;
    if (!backend || backend->kind_case != CP_ONEOF(BACKEND, HTTP))
        return 0;
    if (put_stored(job, state, CP_KIND_CHANNEL, backend->http->channel, err) < 0)
        return -1;
    return put_stored(job, state, CP_KIND_CERTIFICATE, backend->http->certificate, err);
}

static int add_built(struct job *job, const struct cp_state *state, gw_str name,
                     struct gw_error *err)
{
    cp_agent_resource *resource;
    if (name.len == 0)
        return 0;
    int found = cp_build(state, name, job->call->arena, &resource, err);
    if (found == 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%.*s does not exist", GW_STR_ARG(name));
    if (found > 0)
        job->ask.resources[job->ask.n_resources++] = resource;
    return found < 0 ? -1 : 0;
}

/* No policies, no authentication, both schemes. */
static void open_route(struct job *job, cp_agent_route *route)
{
    struct gw_arena *arena = job->call->arena;
    route->name =
        (char *)(uintptr_t)gw_arena_printf(arena, "%s@" AGENT_ENVIRONMENT, job->draft->name).ptr;
    route->environment = gw_arena_strdup(arena, AGENT_ENVIRONMENT);
    route->auth = CP_AGENT_NEW(arena, cp_agent_auth, auth);
    route->http = route->https = true;
    if (route->backend->kind_case == PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP)
        route->backend->http->timeout_ms =
            GW_MIN(route->backend->http->timeout_ms, (uint32_t)BACKEND_TIMEOUT_MAX_MS);
}

static void add_group(struct job *job)
{
    struct gw_arena *arena = job->call->arena;
    cp_agent_resource *resource = CP_AGENT_NEW(arena, cp_agent_resource, resource);
    cp_agent_group *group = CP_AGENT_NEW(arena, cp_agent_group, group);
    group->name = cp_build_text(arena, cp_name_parent(gw_str_from(job->draft->name)));
    group->domains = GW_ARENA_ARRAY(arena, char *, 1);
    group->domains[group->n_domains++] = gw_arena_strdup(arena, job->target.host);
    resource->kind_case = CP_AGENT_RESOURCE(GROUP);
    resource->group = group;
    job->ask.resources[job->ask.n_resources++] = resource;
}

static int build(struct job *job, const struct cp_state *state, struct gw_error *err)
{
    struct gw_arena *arena = job->call->arena;
    gw_str route = gw_arena_printf(arena, "%s@" DRAFT_ENVIRONMENT, job->draft->name);
    job->ask.resources = GW_ARENA_ARRAY(arena, cp_agent_resource *, 4);
    if (add_built(job, state, route, err) < 0)
        return -1;
    cp_agent_route *built = job->ask.resources[0]->route;
    open_route(job, built);
    add_group(job);
    if (built->backend->kind_case != PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP)
        return 0;
    if (add_built(job, state, gw_str_from(built->backend->http->channel), err) < 0)
        return -1;
    return add_built(job, state, gw_str_from(built->backend->http->certificate), err);
}

static int take_draft(struct job *job, struct gw_error *err)
{
    if (refuse_variables(job->draft, err) < 0 || cp_check_api_publishable(job->draft, err) < 0)
        return -1;
    struct cp_state *state = cp_state_new(job->call->services->seal);
    int result = fill_state(job, state, err) < 0 || build(job, state, err) < 0 ? -1 : 0;
    cp_state_free(state);
    job->target.environment = AGENT_ENVIRONMENT;
    return result;
}

/* ---- what callers reach ---- */

static int take_published(struct job *job, struct gw_error *err)
{
    struct cp_stored stored;
    const char *environment =
        *job->asked->environment ? job->asked->environment : CP_ENVIRONMENT_DEFAULT;
    char *name = cp_publication_name(job->call->arena, job->asked->name, environment);
    if (cp_find(job->call, CP_KIND_PUBLICATION, name, &stored, err) < 0)
        return -1;
    if (!stored.message || !*((const cp_publication *)stored.message)->release) {
        (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s is not published in %s", job->asked->name,
                      environment);
        return gw_error_reason(err, "NOT_PUBLISHED");
    }
    job->target.environment = cp_name_last(environment);
    return 0;
}

/* ---- the call ---- */

/* The host leads to that group, by its own name or by the longest wildcard. */
static int leads_to(struct job *job, gw_str host, gw_str group, bool *ret_leads,
                    struct gw_error *err)
{
    const char *owner = NULL;
    gw_str rest = host, value = host;
    do {
        if (cp_claimed_by(job->call, CP_DOMAINS_INDEX, value, &owner, err) < 0)
            return -1;
        (void)gw_str_split(&rest, '.');
        value = gw_arena_printf(job->call->arena, "*.%.*s", GW_STR_ARG(rest));
    } while (!owner && rest.len > 0);
    gw_str found = gw_str_from(owner ? owner : "");
    gw_str own = gw_arena_printf(job->call->arena, "%.*s/", GW_STR_ARG(group));
    *ret_leads = gw_str_eq(found, group) || gw_str_has_prefix(found, own);
    return 0;
}

/* Of a draft it may be any, since nothing but the draft is there. What callers reach lies behind
 * other groups' domains, too, and who debugs may have no rights there. */
static int take_host(struct job *job, gw_str group, struct gw_error *err)
{
    bool leads = true;
    job->target.host = job->asked->domain;
    if (job->asked->mode == CP_ENUM(DEBUG_MODE, CONSUMER) &&
        leads_to(job, gw_str_from(job->asked->domain), group, &leads, err) < 0)
        return -1;
    if (leads)
        return 0;
    return gw_fail_field(err, "domain", "does not lead to %.*s", GW_STR_ARG(group));
}

static int choose_host(struct job *job, struct gw_error *err)
{
    struct cp_stored stored;
    gw_str group = cp_name_parent(gw_str_from(job->asked->name));
    if (*job->asked->domain)
        return take_host(job, group, err);
    if (cp_get(job->call, CP_KIND_GROUP, cp_build_text(job->call->arena, group), &stored, err) < 0)
        return -1;
    const cp_api_group *found = (const cp_api_group *)stored.message;
    job->target.host = found->debug_domain;
    bool is_consumer = job->asked->mode == CP_ENUM(DEBUG_MODE, CONSUMER);
    if (is_consumer && found->debug_domain_disabled)
        return gw_fail_field(err, "domain",
                             "say which: the group's debugging domain is switched off");
    return 0;
}

static int refuse_grpc(const cp_api *draft, struct gw_error *err)
{
    if (!draft->frontend || !cp_protocol_is_grpc(draft->frontend->protocol))
        return 0;
    (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s is of gRPC, which the debug tool does not speak",
                  draft->name);
    return gw_error_reason(err, "GRPC");
}

static int prepare(struct job *job, struct gw_error *err)
{
    struct cp_stored stored;
    if (cp_get(job->call, CP_KIND_API, job->asked->name, &stored, err) < 0)
        return -1;
    job->draft = (const cp_api *)stored.message;
    if (refuse_grpc(job->draft, err) < 0 || choose_host(job, err) < 0)
        return -1;
    if (job->asked->mode == CP_ENUM(DEBUG_MODE, CONSUMER))
        return take_published(job, err);
    return take_draft(job, err);
}

/* ---- the answer ---- */

static cp_duration *microseconds(struct gw_arena *arena, uint64_t us)
{
    cp_duration *duration = GW_ARENA_NEW(arena, cp_duration);
    google__protobuf__duration__init(duration);
    duration->seconds = (int64_t)(us / 1000000);
    duration->nanos = (int32_t)(us % 1000000 * 1000);
    return duration;
}

/* Bytes of a head are whatever the backend says; those of a message are text. */
static char *as_text(struct gw_arena *arena, gw_str bytes)
{
    if (gw_str_is_utf8(bytes))
        return cp_build_text(arena, bytes);
    char *text = gw_arena_bytes(arena, 2 * bytes.len + 1), *at = text;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (c >= 0x80)
            *at++ = (char)(0xc0 | c >> 6);
        *at++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    *at = '\0';
    return text;
}

static size_t count_lines(gw_str lines)
{
    size_t count = 0;
    for (size_t i = 0; i < lines.len; i++)
        count += lines.ptr[i] == '\n';
    return count;
}

/* "Name: value\r\n" each, as the agent writes them. */
static void take_fields(struct gw_arena *arena, gw_str lines, cp_debug_api_response *reply)
{
    reply->headers = GW_ARENA_ARRAY(arena, cp_http_header *, count_lines(lines) + 1);
    while (lines.len > 0) {
        gw_str value = gw_str_split(&lines, '\n');
        gw_str name = gw_str_split(&value, ':');
        cp_http_header *header = GW_ARENA_NEW(arena, cp_http_header);
        penstock__admin__v1__http_header__init(header);
        if (gw_str_has_suffix(value, GW_STR("\r")))
            value.len--;
        header->name = as_text(arena, name);
        header->value = as_text(arena, gw_str_trim(value));
        reply->headers[reply->n_headers++] = header;
    }
}

static void take_body(struct gw_arena *arena, const cp_debug_reply *from,
                      cp_debug_api_response *reply)
{
    reply->body = from->body;
    reply->truncated = from->truncated;
    if (!from->truncated)
        return;
    size_t len = from->body.len + sizeof(TRUNCATED) - 1;
    char *whole = gw_arena_bytes(arena, len);
    memcpy(whole, from->body.data, from->body.len);
    memcpy(whole + from->body.len, TRUNCATED, sizeof(TRUNCATED) - 1);
    reply->body = (ProtobufCBinaryData){len, (uint8_t *)whole};
}

static int check_reply(const struct job *job, const cp_debug_reply *reply, struct gw_error *err)
{
    switch (reply->failure_kind) {
    case FAILURE(UNSPECIFIED):
    case FAILURE(CUT):
        return 0;
    case FAILURE(BUSY):
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "%s", reply->failure);
    case FAILURE(TIMEOUT):
        return gw_fail(err, GW_DEADLINE_EXCEEDED, "%s", reply->failure);
    case FAILURE(NO_ANSWER):
        return gw_fail(err, GW_UNAVAILABLE, "%s", reply->failure);
    default:
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s cannot be debugged: %s", job->asked->name,
                       reply->failure);
    }
}

static int make_call(struct job *job, cp_debug_api_response *ret, struct gw_error *err)
{
    struct gw_arena *arena = job->call->arena;
    cp_debug_reply *reply;
    gw_msec now_ms = gw_clock_monotonic_ms(), deadline_ms = now_ms + WAIT_MS;
    if (job->call->deadline_ms < INT64_MAX)
        deadline_ms = GW_MIN(deadline_ms, job->call->deadline_ms - MARGIN_MS);
    job->ask.timeout_ms = (uint32_t)GW_MAX(deadline_ms - now_ms - MARGIN_MS, 1);
    job->ask.https = job->asked->https;
    gw_str shown, request = cp_debug_request(arena, job->asked, &job->target, &shown);
    job->ask.request = (ProtobufCBinaryData){request.len, (uint8_t *)(uintptr_t)request.ptr};
    bool is_draft = strcmp(job->target.environment, AGENT_ENVIRONMENT) == 0;
    struct cp_debug_aim aim = {job->asked->agent, is_draft ? "" : job->target.environment};
    if (cp_audit_act(job->call, err) < 0 || /* it reaches backends, with credentials maybe */
        cp_registry_debug(job->call->services->registry, arena, aim, &job->ask, deadline_ms, &reply,
                          &ret->agent, err) < 0 ||
        check_reply(job, reply, err) < 0)
        return -1;
    ret->status = (int32_t)reply->status;
    ret->request = cp_build_text(arena, shown);
    ret->failure = reply->failure;
    ret->latency = microseconds(arena, reply->latency_us);
    ret->head_latency = microseconds(arena, reply->head_us);
    take_fields(arena, gw_str_n((const char *)reply->fields.data, reply->fields.len), ret);
    take_body(arena, reply, ret);
    return 0;
}

int cp_debug_api(const struct cp_call *call, const ProtobufCMessage *request,
                 ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct job job = {.call = call, .asked = (const cp_debug_api_request *)request};
    penstock__agent__v1__debug_call__init(&job.ask);
    if (cp_check_debug(job.asked, err) < 0 || prepare(&job, err) < 0)
        return -1;
    if (!call->services->registry)
        return gw_fail(err, GW_UNAVAILABLE, "there are no agents");
    *ret_reply = gw_message_new(call->arena, CP_TYPE(debug_api_response));
    return make_call(&job, (cp_debug_api_response *)*ret_reply, err);
}
