/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI 2.0 and 3.0 with the catalogue's extensions (x-apigateway-*) and one of our own
 * (x-penstock): documents to drafts of APIs, and back. Pure.
 *
 * What a document says beyond that is either refused, by operation and by name, or told in the
 * operation's notes: nothing is dropped in silence that callers could count on. */
#ifndef CP_OPENAPI_OPENAPI_H
#define CP_OPENAPI_OPENAPI_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/types.h"

#define CP_OPENAPI_OPERATIONS_MAX 300
#define CP_OPENAPI_REFS_MAX 32      /* steps of $ref, one behind the other */
#define CP_OPENAPI_REF_MAX 1024     /* bytes of one $ref */
#define CP_OPENAPI_SCHEMAS_MAX 1000 /* looked at for one operation */
#define CP_OPENAPI_LISTED_MAX 256   /* parameters listed by a path and one operation of it */
#define CP_OPENAPI_IN_MAX 32        /* bytes of where such a parameter is: "query" */
#define CP_OPENAPI_NAME_MAX 256     /* bytes of its name */
#define CP_OPENAPI_SERVERS_MAX 64   /* that one operation can be reached by */
#define CP_OPENAPI_URL_MAX 2048     /* bytes of a server's URL; longer ones are passed over */
#define CP_OPENAPI_POLICIES_MAX 100 /* that a document defines */
#define CP_OPENAPI_BINDINGS_MAX 16  /* of one operation */
#define CP_OPENAPI_NOTES_MAX 32     /* of one operation */
#define CP_OPENAPI_NOTE_MAX 256     /* bytes */

/* What one document may cost. By $ref and aliases many operations share what stands there once, and
 * each reads it for itself. */
#define CP_OPENAPI_STEPS_MAX 2000000           /* members and items looked at, $ref followed */
#define CP_OPENAPI_HELD_MAX (32 * 1024 * 1024) /* bytes of the arena */

/* ---- reading */

struct cp_openapi_options {
    const cp_backend *backend; /* borrowed; NULL: the document's server, or a mock */
    bool replace_backends, skip_parameters;
    const char *group; /* "groups/{group}": for names of what belongs to it */
};

/* A throttle or an access control that the document defines. */
struct cp_openapi_policy {
    const char *name, *id; /* in the document, and one for the policy that resembles it */
    cp_policy *policy;     /* without a name; NULL: refused */
    struct gw_error *err;
};

/* One operation of a document. */
struct cp_openapi_operation {
    const char *method;   /* "GET"; "ANY" */
    const char *path;     /* as in the document */
    const char *id;       /* for the API: of operationId, or made of method and path */
    cp_api *api;          /* without a name; NULL: refused */
    struct gw_error *err; /* why; with violations in words of the document or of Api */
    bool says_backend, says_authentication; /* else they are our defaults */
    bool says_id;                           /* by an operationId */
    bool has_no_backend;                    /* and a mock stands in for it */
    char **policies;                        /* names of the document */
    size_t policy_count;
    char **notes;
    size_t note_count;
};

struct cp_openapi {
    const char *title, *description; /* "" when the document has none */
    struct cp_openapi_operation *operations;
    size_t count;
    struct cp_openapi_policy *policies;
    size_t policy_count;
};

/* All in the arena. INVALID_ARGUMENT: the text, or the document as a whole. */
GW_MUST_CHECK int cp_openapi_read(struct gw_arena *arena, gw_str text,
                                  const struct cp_openapi_options *options, struct cp_openapi *ret,
                                  struct gw_error *err);
/* An id of an API that resembles the text; "api" when nothing of it can stand in one. */
char *cp_openapi_id(struct gw_arena *arena, const char *text);

/* ---- writing */

struct cp_openapi_source {
    const char *title, *description, *version;
    const char *host; /* that callers reach the APIs by; NULL: none */
    cp_api **apis;
    size_t count;
    cp_policy ***policies; /* of each API those that are bound, NULL behind the last; NULL: none */
    bool is_v2, is_yaml, is_basic;
};

/* ret_skipped: one of each API, NULL or why it is not in the document. In the arena. */
gw_str cp_openapi_write(struct gw_arena *arena, const struct cp_openapi_source *source,
                        const struct gw_error ***ret_skipped);

#endif
