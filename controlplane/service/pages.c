/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/pages.h"

#include "controlplane/store/store.h"

#include <stdlib.h>

char *cp_page_token_write(struct gw_arena *arena, const struct cp_page_token *token)
{
    static const char digits[] = "0123456789abcdef";
    gw_str plain =
        gw_arena_printf(arena, "%llx.%llx.%.*s", token->list_hash,
                        (unsigned long long)token->revision, GW_STR_ARG(token->after_key));
    char *text = gw_arena_bytes(arena, 2 * plain.len + 1);
    for (size_t i = 0; i < plain.len; i++) {
        text[2 * i] = digits[(unsigned char)plain.ptr[i] >> 4];
        text[2 * i + 1] = digits[plain.ptr[i] & 15];
    }
    text[2 * plain.len] = '\0';
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool cp_page_token_read(struct gw_arena *arena, gw_str text, struct cp_page_token *ret)
{
    if (text.len % 2 || text.len > 2 * (CP_STORE_KEY_MAX + 64))
        return false;
    char *plain = gw_arena_bytes(arena, text.len / 2 + 1);
    for (size_t i = 0; i < text.len / 2; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        plain[i] = (char)(high << 4 | low);
    }
    plain[text.len / 2] = '\0';
    char *end;
    ret->list_hash = strtoull(plain, &end, 16);
    if (*end != '.')
        return false;
    ret->revision = strtoll(end + 1, &end, 16);
    if (*end != '.' || ret->revision <= 0)
        return false;
    ret->after_key = gw_str_n(end + 1, text.len / 2 - (size_t)(end + 1 - plain));
    return true;
}

int cp_fail_page_expired(struct gw_error *err)
{
    (void)gw_fail(err, GW_ABORTED, "the list is from too long ago: start again without page_token");
    return gw_error_reason(err, "PAGE_TOKEN_EXPIRED");
}

static int by_bytes(const void *a, const void *b)
{
    return gw_str_cmp(*(const gw_str *)a, *(const gw_str *)b);
}

gw_str *cp_visible_prefixes(struct gw_arena *arena, const struct cp_principal *principal,
                            const struct cp_action *action, enum cp_kind_id kind, size_t *ret_count)
{
    const char *limit;
    enum cp_kind_id root = kind;
    size_t count = 0, at = 0;
    while (cp_kind_parent(root, &root))
        ;
    while (cp_next_limit(principal, action, &at))
        count++;
    gw_str *prefixes = GW_ARENA_ARRAY(arena, gw_str, count + 1);
    *ret_count = at = 0;
    while ((limit = cp_next_limit(principal, action, &at)))
        if (cp_name_is(root, limit))
            prefixes[(*ret_count)++] = root == kind
                                           ? cp_key_of(arena, root, limit)
                                           : cp_key_children(arena, kind, gw_str_from(limit));
    if (*ret_count == 0)
        return prefixes;
    qsort(prefixes, *ret_count, sizeof(*prefixes), by_bytes);
    count = 1;
    for (size_t i = 1; i < *ret_count; i++) /* of two grants within the same limits once */
        if (!gw_str_has_prefix(prefixes[i], prefixes[count - 1]))
            prefixes[count++] = prefixes[i];
    *ret_count = count;
    return prefixes;
}
