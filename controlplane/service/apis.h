/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of ApiService; publish.h has the rest. */
#ifndef CP_SERVICE_APIS_H
#define CP_SERVICE_APIS_H

#include "controlplane/model/types.h"
#include "controlplane/service/change.h"

/* Refused while published. Releases, bindings and authorizations go with it. */
cp_handler cp_delete_api;
/* The same within a transaction, if it is enough. */
GW_MUST_CHECK int cp_remove_api(const struct cp_call *call, struct cp_change *change,
                                const char *name, const char *etag, struct gw_error *err);

/* Sets the publications of every API, all of one group or of several, with what refuses them now.
 * parent: the group or the API that all of them are below; "": all groups. */
GW_MUST_CHECK int cp_show_publications(const struct cp_call *call, const char *parent,
                                       cp_api **apis, size_t count, struct gw_error *err);

#endif
