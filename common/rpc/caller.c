/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/internal.h"

#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#define BEARER "Bearer "

bool gw_rpc_peer_is_loopback(gw_str peer)
{
    return gw_str_has_prefix(peer, GW_STR("unix:")) ||
           gw_str_has_prefix(peer, GW_STR("ipv4:127.")) ||
           gw_str_has_prefix(peer, GW_STR("ipv6:%5B::1%5D:")) ||
           gw_str_has_prefix(peer, GW_STR("ipv6:[::1]:"));
}

static const char *find_bearer(struct gw_arena *arena, const grpc_metadata_array *metadata)
{
    for (size_t i = 0; i < metadata->count; i++) {
        gw_str key = gw_rpc_slice_view(&metadata->metadata[i].key);
        gw_str value = gw_rpc_slice_view(&metadata->metadata[i].value);
        size_t n = sizeof(BEARER) - 1;
        if (!gw_str_eq(key, GW_STR("authorization")) || value.len <= n ||
            !gw_str_eq_nocase(gw_str_n(value.ptr, n), GW_STR(BEARER)))
            continue;
        return gw_arena_dup(arena, gw_str_trim(gw_str_n(value.ptr + n, value.len - n))).ptr;
    }
    return NULL;
}

/* The first property of that name. One with a NUL inside is not there: what stands before the NUL
 * may be somebody else's name. */
static gw_str find_property(grpc_auth_context *context, const char *name)
{
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(context, name);
    const grpc_auth_property *property = grpc_auth_property_iterator_next(&it);
    if (!property || memchr(property->value, 0, property->value_length))
        return GW_STR_NONE;
    return gw_str_n(property->value, property->value_length);
}

static void read_certificate(struct gw_rpc_caller *caller, struct gw_arena *arena,
                             grpc_auth_context *context)
{
    static const char *const names[] = {GRPC_PEER_URI_PROPERTY_NAME, GRPC_PEER_DNS_PROPERTY_NAME,
                                        GRPC_X509_CN_PROPERTY_NAME};
    gw_str name = GW_STR_NONE;
    for (size_t i = 0; i < GW_ARRAY_LEN(names) && name.len == 0; i++)
        name = find_property(context, names[i]);
    if (name.len)
        caller->cert_name = gw_arena_dup(arena, name).ptr;
    caller->cert_pem =
        gw_arena_dup(arena, find_property(context, GRPC_X509_PEM_CERT_PROPERTY_NAME));
}

static gw_msec deadline_from(gpr_timespec deadline)
{
    gw_msec now = gw_clock_monotonic_ms(); /* first: a thread that is held up must not gain time */
    gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
    int32_t ms = gpr_time_to_millis(left); /* saturates: 24 days are no deadline */
    return ms == INT32_MAX ? INT64_MAX : now + ms;
}

void gw_rpc_caller_init(struct gw_rpc_caller *caller, struct gw_arena *arena, grpc_call *call,
                        gpr_timespec deadline, const grpc_metadata_array *metadata)
{
    char *peer = grpc_call_get_peer(call);
    *caller = (struct gw_rpc_caller){
        .peer = gw_arena_strdup(arena, peer),
        .bearer = find_bearer(arena, metadata),
        .is_loopback = gw_rpc_peer_is_loopback(gw_str_from(peer)),
        .deadline_ms = deadline_from(deadline),
    };
    gpr_free(peer);
    grpc_auth_context *context = grpc_call_auth_context(call);
    if (context && grpc_auth_context_peer_is_authenticated(context))
        read_certificate(caller, arena, context);
    grpc_auth_context_release(context);
}
