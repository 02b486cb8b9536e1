/* SPDX-License-Identifier: Apache-2.0 */
/* The texts inside JSON that are not plain values: names, base64, times, masks. For json*.c only,
 * but for base64.
 */
#ifndef GW_JSON_TEXT_H
#define GW_JSON_TEXT_H

#include "common/arena.h"

#include <protobuf-c/protobuf-c.h>

/* What a message type looks like in JSON. */
enum gw_json_form {
    GW_JSON_OBJECT,
    GW_JSON_TIMESTAMP,
    GW_JSON_DURATION,
    GW_JSON_MASK,
    GW_JSON_ANY
};
enum gw_json_form gw_json_form(const ProtobufCMessageDescriptor *type);

/* Bytes of one value of the type inside a message struct or an array. */
size_t gw_json_element_bytes(ProtobufCType type);

/* The longest of a time: "-315576000000.123456789s", "2026-01-01T00:00:00.123456789Z". */
#define GW_JSON_TIME_MAX 40

/* "display_name" -> "displayName"; never longer. Returns the length. */
size_t gw_json_camel(gw_str snake, char *ret_camel);
/* "displayName" -> "display_name" in the arena; what is in snake case stays. */
gw_str gw_json_snake(struct gw_arena *arena, gw_str camel);

size_t gw_json_print_timestamp(int64_t seconds, int32_t nanos, char ret_text[GW_JSON_TIME_MAX]);
size_t gw_json_print_duration(int64_t seconds, int32_t nanos, char ret_text[GW_JSON_TIME_MAX]);
/* RFC 3339 with any offset, 0001 to 9999; seconds with up to nine digits behind the point, then
 * "s", to 10,000 years. -1 for anything else. */
GW_MUST_CHECK int gw_json_parse_timestamp(gw_str text, int64_t *ret_seconds, int32_t *ret_nanos);
GW_MUST_CHECK int gw_json_parse_duration(gw_str text, int64_t *ret_seconds, int32_t *ret_nanos);

#define GW_BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)
/* Writes GW_BASE64_LEN(bytes.len) characters. */
void gw_json_base64(gw_str bytes, char *ret_text);
/* Standard or URL alphabet, padded or not; at most text.len / 4 * 3 + 2 bytes. -1 for other text.
 */
GW_MUST_CHECK int gw_json_unbase64(gw_str text, char *ret_bytes, size_t *ret_len);

#endif
