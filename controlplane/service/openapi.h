/* SPDX-License-Identifier: Apache-2.0 */
/* OpenApiService: openapi_import.c makes drafts of documents, openapi_export.c documents of APIs,
 * openapi_policies.c has the policies of both. */
#ifndef CP_SERVICE_OPENAPI_H
#define CP_SERVICE_OPENAPI_H

#include "controlplane/model/types.h"
#include "controlplane/openapi/openapi.h"
#include "controlplane/rpc/method.h"

typedef Penstock__Admin__V1__ImportOpenApiRequest cp_import_request;
typedef Penstock__Admin__V1__ImportOpenApiResponse cp_import_reply;

cp_handler cp_import_openapi, cp_export_openapi;

/* What the method for one resource would have been refused with, all of it in one message. */
cp_api_failure *cp_openapi_failure(struct gw_arena *arena, const struct gw_error *why);
void cp_openapi_add_note(struct gw_arena *arena, struct cp_openapi_operation *operation,
                         const char *note);

/* Creates or changes what the document defines, a row for each in reply->policies. */
void cp_openapi_import_policies(const struct cp_call *call, const cp_import_request *asked,
                                const struct cp_openapi *document, cp_import_reply *reply);
/* Binds to the API what its operation names, in the environment of the request; what cannot be is a
 * note. api NULL: it is known that nothing can be, which is noted. */
void cp_openapi_bind(const struct cp_call *call, const cp_import_request *asked,
                     const struct cp_openapi *document, struct cp_openapi_operation *operation,
                     const char *api);
/* Of each API what is bound to it in the environment, NULL behind the last. */
GW_MUST_CHECK int cp_openapi_find_policies(const struct cp_call *call, cp_api *const *apis,
                                           size_t count, const char *environment,
                                           cp_policy ****ret_policies, struct gw_error *err);

#endif
