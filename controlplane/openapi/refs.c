/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/openapi/reader.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* One step of a JSON pointer in a URI fragment: "%7B", "~1" and "~0" are what they stand for. What
 * is decoded is never longer. */
static void decode(gw_str token, char out[CP_OPENAPI_REF_MAX + 1])
{
    size_t len = 0;
    for (size_t i = 0; i < token.len; i++) {
        int high = token.ptr[i] == '%' && i + 2 < token.len ? hex_value(token.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(token.ptr[i + 2]) : -1;
        out[len++] = (char)(low >= 0 ? high << 4 | low : token.ptr[i]);
        i += low >= 0 ? 2 : 0;
    }
    size_t end = 0;
    for (size_t i = 0; i < len; i++) {
        bool is_escape = out[i] == '~' && i + 1 < len && (out[i + 1] == '0' || out[i + 1] == '1');
        char c = is_escape ? (out[i + 1] == '1' ? '/' : '~') : out[i];
        i += is_escape;
        out[end++] = c;
    }
    out[end] = '\0';
}

/* NULL: it leads to nothing. */
static const json_t *find(const struct cp_openapi_reader *reader, gw_str pointer)
{
    const json_t *at = reader->root;
    if (pointer.len == 0)
        return at;
    gw_str rest = gw_str_n(pointer.ptr + 1, pointer.len - 1);
    while (at && rest.ptr) {
        char token[CP_OPENAPI_REF_MAX + 1];
        uint64_t index;
        (void)cp_openapi_spend(reader, 1); /* the next $ref asks */
        decode(gw_str_split(&rest, '/'), token);
        if (json_is_array(at))
            at = gw_str_to_u64(gw_str_from(token), SIZE_MAX >> 1, &index) == 0
                     ? json_array_get(at, (size_t)index)
                     : NULL;
        else
            at = json_object_get(at, token);
    }
    return at;
}

static int fail_ref(struct gw_error *err, const char *ref, const char *what)
{
    return gw_fail_field(err, "$ref", "\"%.200s\" %s", ref, what);
}

int cp_openapi_follow(const struct cp_openapi_reader *reader, const json_t *value,
                      const json_t **ret_value, struct gw_error *err)
{
    for (unsigned steps = 0;; steps++) {
        const json_t *said = json_object_get(value, "$ref");
        const char *ref = json_string_value(said);
        if (!cp_openapi_spend(reader, 1))
            return cp_openapi_check_cost(reader, err);
        if (!ref) {
            *ret_value = value;
            return 0;
        }
        if (json_string_length(said) > CP_OPENAPI_REF_MAX)
            return fail_ref(err, ref, "... is longer than 1024 bytes");
        if (steps == CP_OPENAPI_REFS_MAX)
            return fail_ref(err, ref, "leads in a circle, or further than 32 steps");
        if (ref[0] != '#' || (ref[1] != '/' && ref[1] != '\0'))
            return fail_ref(err, ref, "leads out of the document: only \"#/...\" is followed");
        value = find(reader, gw_str_from(ref + 1));
        if (!value)
            return fail_ref(err, ref, "leads to nothing");
    }
}
