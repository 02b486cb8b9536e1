/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of resources that the command line knows, one row each; the rest is read from the
 * descriptors of the protos, so that a new kind is a new row. */
#ifndef CP_CTL_KINDS_H
#define CP_CTL_KINDS_H

#include "common/message.h"

/* A column of the table: header, and the proto field ("frontend.path") it shows. */
struct cp_column {
    const char *header, *field;
};

#define CP_COLUMNS_MAX 11

struct cp_ctl_kind {
    const char *word;    /* "Api": in documents, and in the methods' names GetApi, CreateApi */
    const char *plural;  /* "Apis": ListApis */
    const char *command; /* "api": what people type; plural and short form are taken as well */
    const char *alias;   /* "apis" */
    const char *pattern; /* "groups/{group}/apis/{api}" */
    const ProtobufCServiceDescriptor *service;
    const ProtobufCMessageDescriptor *message;
    struct cp_column columns[CP_COLUMNS_MAX];
};

extern const struct cp_ctl_kind cp_ctl_kinds[];
extern const unsigned cp_ctl_kind_count;

/* By word, plural, command or alias, any case; NULL: none. */
const struct cp_ctl_kind *cp_kind_find(gw_str word);
/* The kind whose pattern the full name fits; NULL: none. */
const struct cp_ctl_kind *cp_kind_of_name(gw_str name);

/* What people may type for a name: the whole ("groups/g/apis/a"), or only the ids ("g/a"). The
 * result is whole, in the arena. */
GW_MUST_CHECK int cp_kind_name(const struct cp_ctl_kind *kind, gw_str typed, struct gw_arena *arena,
                               gw_str *ret_name, struct gw_error *err);
/* "groups/g" and "a" out of "groups/g/apis/a". */
void cp_kind_split(gw_str name, gw_str *ret_parent, gw_str *ret_id);
/* Is the kind inside another one? */
bool cp_kind_has_parent(const struct cp_ctl_kind *kind);

/* Index in kind->service of verb + word, e.g. "Get"; NULL: there is no such method. */
const ProtobufCMethodDescriptor *cp_kind_method(const struct cp_ctl_kind *kind, const char *verb);
/* "/penstock.admin.v1.ApiService/GetApi", in the arena. */
const char *cp_kind_path(const ProtobufCServiceDescriptor *service,
                         const ProtobufCMethodDescriptor *method, struct gw_arena *arena);

#endif
