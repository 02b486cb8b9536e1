/* SPDX-License-Identifier: Apache-2.0 */
/* Get, List, Create, Update and Delete of a resource, by its descriptor: etags, paging, field
 * masks, validate_only, names and the fields that the server sets are here; a resource's own file
 * has its rules and the methods that only it has. How to add one: README.md. */
#ifndef CP_SERVICE_RESOURCE_H
#define CP_SERVICE_RESOURCE_H

#include "controlplane/model/types.h"
#include "controlplane/service/change.h"

#define CP_PAGE_SIZE_DEFAULT 50
#define CP_PAGE_SIZE_MAX 1000
#define CP_PAGE_READS_MAX 4 /* of CP_PAGE_SIZE_MAX, to fill a page of what matches */
#define CP_PAGE_BYTES_MAX (3 * 1024 * 1024) /* of one answer: a page ends early beyond it */

struct cp_resource_rules {
    enum cp_kind_id kind;
    const char *field;      /* of Create and Update requests: "channel" */
    const char *list_field; /* of the List answer: "channels" */
    const ProtobufCMessageDescriptor *list_reply;
    const char *const *output_only; /* besides create_time, update_time and etag; ends with NULL */
    int64_t max;                    /* under one parent; 0: any number */
    enum cp_quota_id quota;         /* likewise, by an option; NONE: none */
    bool is_replaced; /* it has no Update: a bundle drops the old one and creates the new one */
    const char *exists_apig; /* the catalogue's code of a create of what is there; or NULL */
    const char *in_use_apig; /* the catalogue's code of a delete that references refuse; or NULL */

    /* Each may be NULL. `before` is NULL at creation. */

    /* The id when the request has none; NULL with err: there must be one. */
    const char *(*make_id)(struct gw_arena *arena, const ProtobufCMessage *message,
                           struct gw_error *err);
    /* Whether the message is right by itself: all that is wrong, as violations. */
    int (*check)(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err);
    /* Makes defaults explicit; after check. */
    void (*fill)(struct gw_arena *arena, ProtobufCMessage *message);
    /* Seals the secrets in it; after fill. What it leaves in the clear is stored in the clear. */
    int (*seal)(const struct cp_call *call, ProtobufCMessage *message,
                const ProtobufCMessage *before, struct gw_error *err);
    /* What else the write needs: references, unique values, its own expectations. The resource's
     * own key is the skeleton's. */
    int (*prepare)(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err);
    /* Refuses, or adds what goes with it. References to it have refused the delete before. */
    int (*prepare_delete)(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err);
    /* The whole delete, where the skeleton's does not do; one transaction. */
    int (*remove)(const struct cp_call *call, struct cp_change *change, const char *name,
                  const char *etag, struct gw_error *err);
    /* Whether a List shows it, by what else the request asks for; NULL: all. */
    bool (*matches)(const ProtobufCMessage *request, const ProtobufCMessage *message);
    /* Of a List, what else the request asks for narrows the prefix of the keys. */
    int (*narrow)(const struct cp_call *call, const ProtobufCMessage *request, gw_str *prefix,
                  struct gw_error *err);
    /* Before it is shown: removes what must not be seen, which cannot fail, then adds what is not
     * stored: all of it, or on failure nothing. After a write it is shown then without. */
    int (*present)(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err);
};

int cp_resource_get(const struct cp_call *call, const struct cp_resource_rules *rules,
                    const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                    struct gw_error *err);
int cp_resource_list(const struct cp_call *call, const struct cp_resource_rules *rules,
                     const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                     struct gw_error *err);
int cp_resource_create(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err);
int cp_resource_update(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err);
int cp_resource_delete(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err);

/* One resource of several that are written at once. */
struct cp_put {
    ProtobufCMessage *sent;    /* with its name; will be changed */
    const cp_field_mask *mask; /* as in an Update; NULL: all that are set */
    const char *managed_by;    /* value of the label CP_MANAGED_BY; "": it is left alone */
    /* Afterwards: */
    ProtobufCMessage *before, *after; /* as they are stored; before is NULL: it was not there */
    int64_t mod_revision;             /* of before */
    bool is_same;                     /* nothing has to be written */
};
#define CP_MANAGED_BY "managed-by"
/* Creates it or updates it, as part of the change. */
GW_MUST_CHECK int cp_resource_put(const struct cp_call *call, struct cp_change *change,
                                  const struct cp_resource_rules *rules, struct cp_put *put,
                                  struct gw_error *err);
/* Deletes it likewise, or fails when it does not fit into one transaction. */
GW_MUST_CHECK int cp_resource_remove(const struct cp_call *call, struct cp_change *change,
                                     const struct cp_resource_rules *rules, const char *name,
                                     const char *etag, struct gw_error *err);

#define CP_RESOURCE_HANDLER(verb, noun, rules)                                                     \
    static int verb##_##noun(const struct cp_call *call, const ProtobufCMessage *request,          \
                             ProtobufCMessage **ret_reply, struct gw_error *err)                   \
    {                                                                                              \
        return cp_resource_##verb(call, &(rules), request, ret_reply, err);                        \
    }
#define CP_RESOURCE_HANDLERS(noun, nouns, rules)                                                   \
    CP_RESOURCE_HANDLER(get, noun, rules)                                                          \
    CP_RESOURCE_HANDLER(list, nouns, rules)                                                        \
    CP_RESOURCE_HANDLER(create, noun, rules)                                                       \
    CP_RESOURCE_HANDLER(update, noun, rules)                                                       \
    CP_RESOURCE_HANDLER(delete, noun, rules)

/* ---- for methods of their own */

/* The etag of a revision; what a stored message shows of it. */
char *cp_etag(struct gw_arena *arena, int64_t mod_revision);
void cp_set_etag(struct gw_arena *arena, ProtobufCMessage *message, int64_t mod_revision);
/* ABORTED with reason ETAG_MISMATCH when an etag was sent and is not this revision's. */
GW_MUST_CHECK int cp_check_etag(const char *sent, int64_t mod_revision, const char *name,
                                struct gw_error *err);
cp_timestamp *cp_now(struct gw_arena *arena);

#endif
