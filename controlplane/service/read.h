/* SPDX-License-Identifier: Apache-2.0 */
/* Resources as they are stored. */
#ifndef CP_SERVICE_READ_H
#define CP_SERVICE_READ_H

#include "common/map.h"
#include "controlplane/model/names.h"
#include "controlplane/service/context.h"

struct cp_stored {
    ProtobufCMessage *message; /* in the call's arena; NULL: not there */
    int64_t mod_revision;      /* 0: not there */
};
/* Any key. Not there is no error. */
GW_MUST_CHECK int cp_read(const struct cp_call *call, gw_str key, struct cp_found *ret,
                          struct gw_error *err);
/* Not there is no error. name is well-formed. INTERNAL: what is stored cannot be read. */
GW_MUST_CHECK int cp_find(const struct cp_call *call, enum cp_kind_id kind, const char *name,
                          struct cp_stored *ret, struct gw_error *err);
/* The same, but not there is NOT_FOUND, naming it. */
GW_MUST_CHECK int cp_get(const struct cp_call *call, enum cp_kind_id kind, const char *name,
                         struct cp_stored *ret, struct gw_error *err);
/* What a page of the store holds. INTERNAL: it cannot be read. */
GW_MUST_CHECK int cp_unpack(const struct cp_call *call, enum cp_kind_id kind,
                            const struct cp_kv *kv, struct cp_stored *ret, struct gw_error *err);
/* All children of the parent ("": all of the kind), as of one revision. visit returns -1 with err
 * to stop. */
typedef int cp_visit(void *arg, const char *name, const struct cp_stored *stored,
                     struct gw_error *err);
GW_MUST_CHECK int cp_each(const struct cp_call *call, enum cp_kind_id kind, const char *parent,
                          cp_visit *visit, void *arg, struct gw_error *err);

/* ---- reading ahead */

/* One attempt of a write (change.h) reads a key once: of what has been read ahead the functions
 * above, and those of change.h, take what is known. */
struct cp_ahead {
    struct gw_map found; /* by key -> struct cp_found */
};

/* Keys that will be read. All zeroes: none. */
struct cp_keys {
    gw_str *items; /* in the call's arena */
    size_t count, room;
};
void cp_keys_add(const struct cp_call *call, struct cp_keys *keys, gw_str key);
void cp_keys_add_name(const struct cp_call *call, struct cp_keys *keys, enum cp_kind_id kind,
                      const char *name);
/* Reads those that are not known yet with one question to the store, which takes a store that is
 * far about as long as each of them would. */
GW_MUST_CHECK int cp_read_ahead(const struct cp_call *call, const struct cp_keys *keys,
                                struct gw_error *err);

#endif
