/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of writing share. For write*.c only. */
#ifndef CP_OPENAPI_WRITER_H
#define CP_OPENAPI_WRITER_H

#include "controlplane/openapi/reader.h"

struct cp_openapi_writer {
    struct gw_arena *arena;                 /* borrowed */
    const struct cp_openapi_source *source; /* borrowed */
    json_t *paths, *schemes;                /* owned, until they are the document's */
    json_t *ratelimits, *access_controls;   /* likewise: policies by name */
    json_t *ids;                            /* operationIds that are taken */
    json_t *shapes;                         /* shape of a path -> the path in the document */
};

/* Unless the text is empty. */
void cp_openapi_put(json_t *object, const char *member, const char *text);
/* The caller's. document_path: the API's, or one that differs in the names of its parameters. */
json_t *cp_openapi_write_parameters(struct cp_openapi_writer *writer, const cp_api *api,
                                    const char *document_path);
/* The caller's; adds to `own` what has no place in it. */
json_t *cp_openapi_write_backend(struct cp_openapi_writer *writer, const cp_api *api, json_t *own);

/* Names the policies, NULL behind the last, in the operation, and defines them in the document. */
void cp_openapi_write_policies(struct cp_openapi_writer *writer, json_t *operation,
                               cp_policy *const *policies);

#endif
