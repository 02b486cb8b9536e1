/* SPDX-License-Identifier: Apache-2.0 */
/* Resource names, their ids, and the store keys that they become. Pure.
 *
 * One table describes every kind that is stored. The key of "groups/orders/apis/list" is
 * "/penstock/v1/apis/orders/list": the kind's word, then the ids. So the children of one parent are
 * one prefix, and within a kind keys sort as names do. A release's key ends in its environment and
 * its number in 19 digits, so that releases sort by number:
 * "/penstock/v1/releases/orders/list/RELEASE/000..3". Under the same root, and resources of no
 * kind, are "guards/" and "index/" (service/README.md). */
#ifndef CP_MODEL_NAMES_H
#define CP_MODEL_NAMES_H

#include "common/arena.h"
#include "common/error.h"

#include <protobuf-c/protobuf-c.h>

#define CP_KEY_ROOT "/penstock/v1/"
#define CP_KEY_WATCHED "/penstock/" /* what is told of as it happens: audit events, too */
#define CP_NAME_MAX 512             /* bytes of any resource name */
#define CP_IDS_MAX 3

enum cp_kind_id {
    CP_KIND_GROUP,
    CP_KIND_DOMAIN,
    CP_KIND_ENVIRONMENT,
    CP_KIND_CHANNEL,
    CP_KIND_API,
    CP_KIND_RELEASE,
    CP_KIND_PUBLICATION,
    CP_KIND_APP,
    CP_KIND_CODE,
    CP_KIND_AUTHORIZATION,
    CP_KIND_POLICY,
    CP_KIND_BINDING,
    CP_KIND_CERTIFICATE,
    CP_KIND_VARIABLE,
    CP_KIND_ACCOUNT,
    CP_KIND_USER,
    CP_KIND_ACCESS_KEY,
    CP_KIND_SETTINGS,    /* one, and its name has no id */
    CP_KIND_TICKET_KEYS, /* no resource: the control plane's own */
    CP_KIND_ENROLMENT,
    CP_KIND_AGENT_IDENTITY,
    CP_KIND_AGENT_AUTHORITY, /* no resource, likewise */
    CP_KIND_COUNT,
};

struct cp_kind {
    enum cp_kind_id id;
    const char *word;    /* "apis": part of the key */
    const char *pattern; /* "groups/{group}/apis/{api}": for messages, and the form of names */
    const char *noun;    /* "API": for messages */
    const ProtobufCMessageDescriptor *type;
    /* The last id: its length, what it may start with, and what beside letters and digits it holds.
     */
    size_t id_min, id_max;
    bool letter_first; /* else a letter or a digit */
    const char *id_marks;
};

/* The ids of a name, in order; borrowed from it. */
struct cp_ids {
    gw_str id[CP_IDS_MAX];
    unsigned count;
};

const struct cp_kind *cp_kind_get(enum cp_kind_id id);
/* The kind that its names stand under; false: they stand alone. */
bool cp_kind_parent(enum cp_kind_id id, enum cp_kind_id *ret_parent);

/* Takes a name of the kind apart and checks the form of every id. False: it is no such name. */
bool cp_name_parse(enum cp_kind_id kind, gw_str name, struct cp_ids *ret_ids);
bool cp_name_is(enum cp_kind_id kind, const char *name);
/* The same for a request field: INVALID_ARGUMENT naming `field` and the pattern. */
GW_MUST_CHECK int cp_name_check(enum cp_kind_id kind, const char *name, const char *field,
                                struct gw_error *err);
/* A name of a kind without a parent, of those that people edit: what rights can be limited to. */
bool cp_name_stands_alone(const char *name);
/* The last id alone, as in CreateApiRequest.api_id. */
GW_MUST_CHECK int cp_id_check(enum cp_kind_id kind, const char *id, const char *field,
                              struct gw_error *err);
/* A name from its ids. */
gw_str cp_name_make(struct gw_arena *arena, enum cp_kind_id kind, const struct cp_ids *ids);
/* The last part of a name, after the last "/". */
const char *cp_name_last(const char *name);
/* "groups/a" of "groups/a/apis/b"; empty for names of one level. */
gw_str cp_name_parent(gw_str name);
/* The release's number and environment id out of "{environment}-{number}". */
bool cp_release_id_parse(gw_str id, gw_str *ret_environment, int64_t *ret_number);
/* The environment's id and the variable's own name out of "{environment}.{variable}". */
bool cp_variable_id_parse(gw_str id, gw_str *ret_environment, gw_str *ret_variable);

/* Key of a well-formed name (assert). */
gw_str cp_key_of(struct gw_arena *arena, enum cp_kind_id kind, const char *name);
/* "/penstock/v1/apis/": all of a kind. */
gw_str cp_key_prefix(struct gw_arena *arena, enum cp_kind_id kind);
/* "/penstock/v1/apis/orders/": those below a parent. `parent` may be of any level above
 * ("groups/orders" for releases too) and may be empty, which is all of the kind. */
gw_str cp_key_children(struct gw_arena *arena, enum cp_kind_id kind, gw_str parent);
/* "/penstock/v1/releases/orders/list/RELEASE/": the history of an API in an environment, by their
 * names. */
gw_str cp_key_history(struct gw_arena *arena, const char *api, const char *environment);
/* The kind and name that a key stands for; NULL for guards, indexes and what is not ours. */
const struct cp_kind *cp_key_parse(struct gw_arena *arena, gw_str key, gw_str *ret_name);

/* "groups/{group}/apis/{api}@{environment}": what agents call the API in the environment. */
gw_str cp_route_name(struct gw_arena *arena, const char *api, const char *environment);

#endif
