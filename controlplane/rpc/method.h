/* SPDX-License-Identifier: Apache-2.0 */
/* The method table of the management API: which handler answers a method and which role it takes.
 * Around every handler: identify the caller, check the role, one log line for each write. */
#ifndef CP_RPC_METHOD_H
#define CP_RPC_METHOD_H

#include "controlplane/rpc/auth.h"

/* What the service layer hands to its handlers; it defines the struct (store, clock, rollouts ...).
 * Here it is only passed on. */
struct cp_services;
/* What the recorder notes of one write; likewise. */
struct cp_audit;
/* What has been read ahead; likewise. */
struct cp_ahead;

/* Of a List, when the caller may see only a part: the handler shows what cp_view_shows, and sets
 * is_kept. When it does not know of this, the call is refused. */
struct cp_view {
    const struct cp_principal *principal;
    struct cp_action action;
    bool is_kept;
};
bool cp_view_shows(const struct cp_view *view, const char *name);

/* One call, borrowed until the handler returns. */
struct cp_call {
    struct cp_services *services;
    struct gw_arena *arena; /* of the call: the request is in it, the reply goes into it */
    const struct cp_principal *principal;
    gw_msec deadline_ms;    /* monotonic; INT64_MAX: none */
    struct cp_view *view;   /* NULL: all that there is may be seen */
    struct cp_audit *audit; /* NULL: nothing is recorded of it */
    struct cp_ahead *ahead; /* NULL: outside of an attempt to write, or the store remembers */
};

/* Blocking, straight-line code on a pool thread. `request` has the method's input type, *ret_reply
 * must get its output type. 0, or -1 with err. */
typedef int cp_handler(const struct cp_call *call, const ProtobufCMessage *request,
                       ProtobufCMessage **ret_reply, struct gw_error *err);

/* One row: `{"GetApi", CP_ROLE_VIEWER, get_api}`. What rights with limits are checked against is
 * found in the request (targets.h). */
struct cp_method {
    const char *name; /* as in the proto; asserted to be there */
    enum cp_role role;
    cp_handler *run;
};

/* A service of the protos with the methods that work. Methods without a row answer UNIMPLEMENTED,
 * "DebugApi is not available in this version". A service file exports one:
 *     const struct cp_service cp_api_service = {&penstock__admin__v1__api_service__descriptor,
 *                                               methods, GW_ARRAY_LEN(methods)};
 * and for a service of which nothing works yet methods is NULL, count 0. */
struct cp_service {
    const ProtobufCServiceDescriptor *descriptor;
    const struct cp_method *methods;
    size_t count;
};

/* Stands around every write of a caller who is known, validate_only excepted: begin before the role
 * is checked, end with err of what was refused, NULL for what was not. */
struct cp_recorder {
    struct cp_audit *(*begin)(const struct cp_call *call, const char *method, const char *peer,
                              const ProtobufCMessage *request);
    void (*end)(const struct cp_call *call, const struct gw_error *err);
};

struct cp_methods;

/* auth and services are borrowed until free. */
struct cp_methods *cp_methods_new(struct cp_auth *auth, struct cp_services *services);
void cp_methods_free(struct cp_methods *methods);
/* Before calls come in; borrowed. Without one nothing is recorded. */
void cp_methods_record(struct cp_methods *methods, const struct cp_recorder *recorder);
/* Adds every method of the service, guarded as above. */
void cp_methods_add_service(struct cp_methods *methods, const struct cp_service *service);
/* Adds methods as they are, unguarded: health, reflection, the agents' stream. */
void cp_methods_add(struct cp_methods *methods, const struct gw_rpc_method *rows, size_t count);
/* For gw_rpc_server_start; borrowed from methods, complete once all are added. */
const struct gw_rpc_method *cp_methods_list(const struct cp_methods *methods, size_t *ret_count);

/* Whether a row of the list does anything in this version but answer UNIMPLEMENTED. */
bool cp_method_works(const struct gw_rpc_method *row);

#define CP_METHOD_CODES (GW_UNAUTHENTICATED + 1)
struct cp_method_stats {
    const char *name;               /* "ApiService/GetApi"; borrowed from the table */
    int64_t calls[CP_METHOD_CODES]; /* by enum gw_code */
    int64_t spent_ns; /* of all of them together, from the handler's begin to its end */
};
/* Of a row of the list. False: it is not guarded, and not counted. Any thread. */
bool cp_methods_stats(const struct gw_rpc_method *row, struct cp_method_stats *ret_stats);

#endif
