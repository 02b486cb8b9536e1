/* SPDX-License-Identifier: Apache-2.0 */
/* A document from the network to a tree, and a tree to text: JSON and YAML. Whatever the text says,
 * the tree and every walk over it are bounded. */
#ifndef CP_OPENAPI_TEXT_H
#define CP_OPENAPI_TEXT_H

#include "common/arena.h"
#include "common/error.h"

#include <jansson.h>

#define CP_OPENAPI_BYTES_MAX (3 * 1024 * 1024) /* of a text; a message of gRPC holds 4 MiB */
#define CP_OPENAPI_DEPTH_MAX 64                /* levels of lists and objects */
#define CP_OPENAPI_VALUES_MAX 200000           /* in the tree, shared ones counted each time */

/* An object is what *ret_root is, the caller's. INVALID_ARGUMENT naming "document" and the limit,
 * or the line and what is wrong there. */
GW_MUST_CHECK int cp_openapi_parse(gw_str text, json_t **ret_root, struct gw_error *err);

/* In the arena. */
gw_str cp_openapi_json(const json_t *root, struct gw_arena *arena);

#endif
