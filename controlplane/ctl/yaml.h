/* SPDX-License-Identifier: Apache-2.0 */
/* YAML <-> jansson: what JSON can say, no aliases, no tags of one's own. */
#ifndef CP_CTL_YAML_H
#define CP_CTL_YAML_H

#include "common/arena.h"
#include "common/error.h"

#include <jansson.h>

struct cp_yaml; /* a text that is being read */

struct cp_yaml *cp_yaml_open(gw_str text);
void cp_yaml_close(struct cp_yaml *yaml); /* takes NULL */
/* 1: *ret_value is the next document (the caller's), *ret_line where it begins. 0: no more. -1: err
 * has the line. Empty documents are passed over. */
GW_MUST_CHECK int cp_yaml_next(struct cp_yaml *yaml, json_t **ret_value, size_t *ret_line,
                               struct gw_error *err);

/* Block style, keys in their order. In the arena. */
gw_str cp_yaml_write(const json_t *value, struct gw_arena *arena);

#endif
