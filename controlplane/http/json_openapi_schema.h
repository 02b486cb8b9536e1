/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas of messages, for json_openapi.c alone. */
#ifndef CP_HTTP_JSON_OPENAPI_SCHEMA_H
#define CP_HTTP_JSON_OPENAPI_SCHEMA_H

#include "common/comments.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

struct cp_json_schemas {
    struct gw_arena *arena;             /* borrowed */
    const struct gw_comments *comments; /* borrowed */
    json_t *made;                       /* name -> schema */
};
void cp_json_schemas_init(struct cp_json_schemas *schemas, struct gw_arena *arena,
                          const struct gw_comments *comments);
/* All that was asked for, with what is in them. */
json_t *cp_json_schemas_take(struct cp_json_schemas *schemas);

/* A reference, or the schema itself of a well-known type. */
json_t *cp_json_schema_of(struct cp_json_schemas *schemas, const ProtobufCMessageDescriptor *type);
/* Of its value; an array where it is repeated. */
json_t *cp_json_schema_of_field(struct cp_json_schemas *schemas,
                                const ProtobufCFieldDescriptor *field);

#endif
