/* SPDX-License-Identifier: Apache-2.0 */
/* Resources as they are stored. */
#ifndef CP_SERVICE_READ_H
#define CP_SERVICE_READ_H

#include "controlplane/model/names.h"
#include "controlplane/service/context.h"

struct cp_stored {
    ProtobufCMessage *message; /* in the call's arena; NULL: not there */
    int64_t mod_revision;      /* 0: not there */
};
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

#endif
