/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: which kinds they hold, what is done with each resource, and what is said of it. */
#ifndef CP_SERVICE_BUNDLE_H
#define CP_SERVICE_BUNDLE_H

#include "controlplane/service/resource.h"

#include "penstock/admin/v1/bundle.pb-c.h"

#define CP_BUNDLE_RESOURCES_MAX 1000
#define CP_BUNDLE_CHANGES_BYTES_MAX (1024 * 1024) /* of all differences that are told */
#define CP_MANAGED_BY_MAX 63
#define CP_EXPORT_BYTES_MAX (3 * 1024 * 1024)
#define CP_EXPORT_GROUPS_MAX 100

typedef Penstock__Admin__V1__BundleResource cp_bundle_resource;

/* ---- the kinds, those first that others refer to */

struct cp_bundle_kind {
    const struct cp_resource_rules *rules;
    const struct cp_service *service; /* whose methods say who may do it */
};
extern const struct cp_bundle_kind cp_bundle_kinds[];
extern const size_t cp_bundle_kind_count;

extern const struct cp_resource_rules cp_environment_rules, cp_certificate_rules, cp_channel_rules,
    cp_group_rules, cp_domain_rules, cp_variable_rules, cp_api_rules, cp_app_rules, cp_policy_rules;

/* The member of BundleResource.kind that holds it. */
const ProtobufCFieldDescriptor *cp_bundle_field(const struct cp_bundle_kind *kind);
/* What is in it; NULL: nothing. */
ProtobufCMessage *cp_bundle_content(const cp_bundle_resource *resource,
                                    const struct cp_bundle_kind **ret_kind);
/* The kind's own method that does that, "Update"; in the arena. */
struct cp_action cp_bundle_action(struct gw_arena *arena, const struct cp_bundle_kind *kind,
                                  const char *verb);
/* The prefixes of the kind's keys of which the caller may read any, in order. */
gw_str *cp_bundle_readable(const struct cp_call *call, const struct cp_bundle_kind *kind,
                           size_t *ret_count);
/* PERMISSION_DENIED unless the caller may call the kind's own method, "Update", for that name. */
GW_MUST_CHECK int cp_bundle_check(const struct cp_call *call, const struct cp_bundle_kind *kind,
                                  const char *verb, const char *name, struct gw_error *err);
/* Whether it has labels; then what managed-by says, or "". */
bool cp_managed_by(const ProtobufCMessage *message, const char **ret_value);

/* ---- applying */

/* One resource, over all tries. */
struct cp_bundle_item {
    const struct cp_bundle_kind *kind;
    const char *name;
    size_t index; /* in the request; of what is pruned: behind all of it */
    bool is_delete;
    char *clear; /* of an AppCode that is created; else NULL */
    /* Of the last try: */
    bool is_done; /* false: it is refused */
    struct cp_put put;
    struct gw_error *why; /* it was refused last */
    /* Of bundle_turns.c: */
    struct cp_bundle_item *next;
    gw_str waits_for; /* a key, or a prefix of keys */
};

struct cp_bundle {
    const Penstock__Admin__V1__ApplyRequest *request;
    struct cp_bundle_item **items; /* in the request's order, then what is pruned */
    size_t count, room;
    size_t sent_count;   /* of them, those of the request */
    const char *refused; /* the first one that is; NULL: none */
};

struct cp_bundle_item *cp_bundle_add(const struct cp_call *call, struct cp_bundle *bundle);
/* Adds what has the label and is not in the request. */
GW_MUST_CHECK int cp_bundle_find_pruned(const struct cp_call *call, struct cp_bundle *bundle,
                                        struct gw_error *err);

/* Does one of them as part of the change; -1: it is refused, or the whole ends. */
typedef int cp_bundle_do(const struct cp_call *call, struct cp_change *change,
                         struct cp_bundle_item *item, struct gw_error *err);
/* Does them all, in an order in which as many as can be are done. call is over an overlay of the
 * change. -1: the store is away, or the call's deadline came. */
GW_MUST_CHECK int cp_bundle_run(const struct cp_call *call, struct cp_change *change,
                                const struct cp_bundle *bundle, cp_bundle_do *one,
                                struct gw_error *err);
void cp_bundle_refuse_one(const struct cp_call *call, struct cp_bundle_item *item,
                          const struct gw_error *why);
/* DEADLINE_EXCEEDED when the caller does not wait any longer. */
GW_MUST_CHECK int cp_bundle_in_time(const struct cp_call *call, struct gw_error *err);

/* What is answered. */
ProtobufCMessage *cp_bundle_reply(const struct cp_call *call, const struct cp_bundle *bundle,
                                  int64_t revision);
/* The refusals as one error; -1. None: 0. */
GW_MUST_CHECK int cp_bundle_refuse(struct cp_bundle *bundle, struct gw_error *err);

cp_handler cp_export_bundle;

#endif
