/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the management API by descriptor: what a verb needs is read off its request message. */
#ifndef CP_CTL_CALL_H
#define CP_CTL_CALL_H

#include "common/map.h"
#include "controlplane/ctl/kinds.h"
#include "controlplane/ctl/options.h"

struct cp_session {
    const struct cp_options *options;
    struct gw_rpc_client *client;
    struct gw_arena arena; /* everything of one command */
    struct gw_map pending; /* --dry-run: names that would be there by now */
    size_t shown;          /* resources of files shown so far */
};

GW_MUST_CHECK int cp_session_open(struct cp_session *session, const struct cp_options *options,
                                  struct gw_error *err);
void cp_session_close(struct cp_session *session);

GW_MUST_CHECK int cp_call(struct cp_session *session, const ProtobufCServiceDescriptor *service,
                          const ProtobufCMethodDescriptor *method, const ProtobufCMessage *request,
                          ProtobufCMessage **ret_reply, struct gw_error *err);

GW_MUST_CHECK int cp_get(struct cp_session *session, const struct cp_ctl_kind *kind, gw_str name,
                         ProtobufCMessage **ret_resource, struct gw_error *err);
/* "environments/X": people type the id alone. */
char *cp_environment_of(struct cp_session *session, const char *typed);
/* Calls fn for each resource of all pages. parent: "" for a kind without one. */
typedef void cp_list_fn(void *arg, ProtobufCMessage *resource);
GW_MUST_CHECK int cp_list(struct cp_session *session, const struct cp_ctl_kind *kind, gw_str parent,
                          const char *environment, cp_list_fn *fn, void *arg, struct gw_error *err);
GW_MUST_CHECK int cp_create(struct cp_session *session, const struct cp_ctl_kind *kind,
                            ProtobufCMessage *resource, ProtobufCMessage **ret_resource,
                            struct gw_error *err);
/* fields: what changes, by proto name; the others stay. */
GW_MUST_CHECK int cp_update(struct cp_session *session, const struct cp_ctl_kind *kind,
                            ProtobufCMessage *resource, char **fields, size_t field_count,
                            ProtobufCMessage **ret_resource, struct gw_error *err);
GW_MUST_CHECK int cp_delete(struct cp_session *session, const struct cp_ctl_kind *kind, gw_str name,
                            const char *etag, struct gw_error *err);

#endif
