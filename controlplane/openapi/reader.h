/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of reading share. For read*.c and refs.c only. */
#ifndef CP_OPENAPI_READER_H
#define CP_OPENAPI_READER_H

#include "controlplane/openapi/openapi.h"

#include <jansson.h>

#define CP_OPENAPI_OWN                                                                             \
    "x-penstock" /* of an operation: what OpenAPI and the catalogue cannot say                     \
                  */

/* Spent so far of what a document may cost. */
struct cp_openapi_cost {
    size_t steps;
    size_t held_before; /* bytes of the arena, of the rest of the call */
    bool is_too_much;   /* once and for all */
};

struct cp_openapi_reader {
    struct gw_arena *arena;       /* borrowed */
    struct cp_openapi_cost *cost; /* borrowed */
    const json_t *root;           /* borrowed */
    const struct cp_openapi_options *options;
    bool is_v2;
    const char *base_path; /* of 2.0; "" */
    /* the operation at hand */
    struct cp_openapi_operation *operation;
    const json_t *item, *node, *own; /* its path item, itself, its x-penstock; own may be NULL */
    cp_api *api;
    unsigned schemas; /* looked at so far */
};

/* ---- cost.c */

/* False: the document costs too much, and need not be read any further. Whoever walks over a list
 * asks before; texts and $ref ask by themselves. */
bool cp_openapi_spend(const struct cp_openapi_reader *reader, size_t steps);
/* The same before that many bytes of a text are copied. */
bool cp_openapi_spend_bytes(const struct cp_openapi_reader *reader, size_t bytes);
/* INVALID_ARGUMENT naming the limit: of the document, not of one operation. */
GW_MUST_CHECK int cp_openapi_check_cost(const struct cp_openapi_reader *reader,
                                        struct gw_error *err);

/* ---- refs.c */

/* Follows $ref as far as it leads; value may be NULL. INVALID_ARGUMENT naming it: outside of the
 * document, to nothing, or in a circle. */
GW_MUST_CHECK int cp_openapi_follow(const struct cp_openapi_reader *reader, const json_t *value,
                                    const json_t **ret_value, struct gw_error *err);

/* ---- read.c */

/* Adds a note to the operation. */
void cp_openapi_note(struct cp_openapi_reader *reader, const char *format, ...) GW_PRINTF(2, 3);
/* The member as text, also of numbers and booleans; "" when there is none. In the arena. */
char *cp_openapi_text(const struct cp_openapi_reader *reader, const json_t *object,
                      const char *member);
/* The scalar as text; NULL: it is none. */
char *cp_openapi_scalar(const struct cp_openapi_reader *reader, const json_t *value);
/* Of longer ones only so much that they are still longer, in whole characters: who has a limit does
 * not copy what is beyond it. */
char *cp_openapi_head(const struct cp_openapi_reader *reader, const json_t *object,
                      const char *member, size_t max_bytes);
char *cp_openapi_scalar_head(const struct cp_openapi_reader *reader, const json_t *value,
                             size_t max_bytes);
/* The operation's path, as x-penstock has it when the document's has other names in it. */
const char *cp_openapi_own_path(const struct cp_openapi_reader *reader);
/* Cut to whole characters, with a note naming `what`. Of a head with the same limit. */
char *cp_openapi_cut(struct cp_openapi_reader *reader, char *text, size_t max_bytes,
                     const char *what);

/* ---- read_parameters.c */

GW_MUST_CHECK int cp_openapi_read_parameters(struct cp_openapi_reader *reader,
                                             struct gw_error *err);

/* ---- read_schema.c */

/* What can be checked of a parameter's schema. */
struct cp_openapi_schema {
    const char *type;       /* "string", "number", "array" ...; "": none is said */
    const json_t *values;   /* enum; NULL: none */
    const json_t *fallback; /* default; NULL: none */
    bool has_min, has_max, has_length;
    double min, max;
    int64_t min_length, max_length; /* 0: none */
    const char *unchecked; /* the first word that cannot be checked: "pattern"; NULL: none */
};
GW_MUST_CHECK int cp_openapi_read_schema(struct cp_openapi_reader *reader, const json_t *node,
                                         struct cp_openapi_schema *ret, struct gw_error *err);

/* ---- read_backend.c */

GW_MUST_CHECK int cp_openapi_read_backend(struct cp_openapi_reader *reader, struct gw_error *err);

/* ---- read_policies.c */

GW_MUST_CHECK int cp_openapi_read_policies(struct cp_openapi_reader *reader, struct cp_openapi *all,
                                           struct gw_error *err);
/* What the operation asks for by name. */
void cp_openapi_read_bindings(struct cp_openapi_reader *reader);

/* ---- read_access.c */

/* Protocol and authentication. */
GW_MUST_CHECK int cp_openapi_read_access(struct cp_openapi_reader *reader, struct gw_error *err);
/* "https://host:80/path" of the operation's nearest server; false: none, or a relative one. */
struct cp_openapi_server {
    bool is_https;
    gw_str address, path; /* path without a slash at its end */
};
bool cp_openapi_find_server(const struct cp_openapi_reader *reader, struct cp_openapi_server *ret);

#endif
