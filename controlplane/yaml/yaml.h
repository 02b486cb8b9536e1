/* SPDX-License-Identifier: Apache-2.0 */
/* YAML <-> jansson: what JSON can say, no tags of one's own. For resources of penstockctl, and for
 * documents from the network. */
#ifndef CP_YAML_YAML_H
#define CP_YAML_YAML_H

#include "common/arena.h"
#include "common/error.h"

#include <jansson.h>

/* Of one text. Aliases are the same value once more, so they take no memory; they count as what
 * they stand for, so that nobody who walks the tree walks further than `values`. */
struct cp_yaml_limits {
    unsigned depth; /* levels of lists and mappings */
    size_t values;  /* in one document; 0: any number */
    bool aliases;   /* and "<<", which merges mappings; else refused */
};
/* Bytes of keys that "<<" copies, in one document. */
#define CP_YAML_MERGED_MAX (16 * 1024 * 1024)

struct cp_yaml; /* a text that is being read */

/* text and limits are borrowed until close. */
struct cp_yaml *cp_yaml_open(gw_str text, const struct cp_yaml_limits *limits);
void cp_yaml_close(struct cp_yaml *yaml); /* takes NULL */
/* 1: *ret_value is the next document (the caller's), *ret_line where it begins. 0: no more. -1: err
 * has the line. Empty documents are passed over. */
GW_MUST_CHECK int cp_yaml_next(struct cp_yaml *yaml, json_t **ret_value, size_t *ret_line,
                               struct gw_error *err);

/* Block style, keys in their order; strings in quotes where any parser would take them for
 * something else. In the arena. */
gw_str cp_yaml_write(const json_t *value, struct gw_arena *arena);

#endif
