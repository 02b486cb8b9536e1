/* SPDX-License-Identifier: Apache-2.0 */
/* What a plain scalar means. For yaml*.c only. */
#ifndef CP_YAML_PLAIN_H
#define CP_YAML_PLAIN_H

#include <jansson.h>
#include <stdbool.h>

/* null, booleans and the numbers of JSON; everything else is text. NULL: not UTF-8. */
json_t *cp_yaml_plain(const char *text, size_t len);
/* Whether some parser, also of YAML 1.1, would take the bare text for something else. */
bool cp_yaml_needs_quotes(const char *text, size_t len);

#endif
