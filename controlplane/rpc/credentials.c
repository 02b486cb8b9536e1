/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/credentials_internal.h"
#include "controlplane/rpc/descriptors.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

struct cp_stamp cp_stamp_of(const char *file)
{
    struct stat st;
    if (stat(file, &st))
        return (struct cp_stamp){0};
    return (struct cp_stamp){.time = st.st_mtim, .inode = st.st_ino, .size = st.st_size};
}

bool cp_stamp_is(const struct cp_stamp *a, const struct cp_stamp *b)
{
    return a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec &&
           a->inode == b->inode && a->size == b->size;
}

int cp_fail_at(struct gw_error *err, struct cp_place place, const char *key, const char *rule)
{
    if (place.inner)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s[%zu].%s[%zu].%s: %s", place.list, place.index,
                       place.inner, place.inner_index, key, rule);
    return gw_fail(err, GW_INVALID_ARGUMENT, "%s[%zu].%s: %s", place.list, place.index, key, rule);
}

static int fail_no_object(struct gw_error *err, struct cp_place place)
{
    if (place.inner)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s[%zu].%s[%zu]: must be an object", place.list,
                       place.index, place.inner, place.inner_index);
    return gw_fail(err, GW_INVALID_ARGUMENT, "%s[%zu]: must be an object", place.list, place.index);
}

int cp_check_keys(const json_t *entry, struct cp_place place, const char *const *keys,
                  struct gw_error *err)
{
    if (!json_is_object(entry))
        return fail_no_object(err, place);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)entry, key, value)
    {
        const char *const *known = keys;
        while (*known && strcmp(*known, key) != 0)
            known++;
        if (!*known)
            return cp_fail_at(err, place, key, "unknown key");
    }
    return 0;
}

int cp_read_text(const json_t *entry, struct cp_place place, const char *key, const char **ret_text,
                 struct gw_error *err)
{
    const char *text = json_string_value(json_object_get(entry, key));
    if (!text || !*text || strlen(text) > CP_CREDENTIALS_TEXT_MAX)
        return cp_fail_at(err, place, key, "must be a text of 1 to 127 bytes");
    *ret_text = text;
    return 0;
}

static int read_principal(struct cp_credentials *credentials, const json_t *entry,
                          struct cp_place place, struct cp_principal **ret_principal,
                          struct gw_error *err)
{
    const char *name;
    struct cp_principal *principal = GW_ARENA_NEW(&credentials->arena, struct cp_principal);
    if (cp_read_text(entry, place, "principal", &name, err) ||
        cp_read_grants(credentials, entry, place, principal, err))
        return -1;
    snprintf(principal->name, sizeof(principal->name), "%s", name);
    *ret_principal = principal;
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* False unless `hex` is the digest in 64 digits. What it is instead may be the token itself, so no
 * message quotes it. */
static bool digest_from(const char *hex, char ret_digest[SHA256_DIGEST_LENGTH])
{
    if (strlen(hex) != 2 * SHA256_DIGEST_LENGTH)
        return false;
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_digest[i] = (char)(high << 4 | low);
    }
    return true;
}

static int add_token(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                     struct gw_error *err)
{
    static const char *const keys[] = {"sha256", "principal", "role", "limits", "grants", NULL};
    struct cp_principal *principal;
    char digest[SHA256_DIGEST_LENGTH];
    if (cp_check_keys(entry, place, keys, err) ||
        read_principal(credentials, entry, place, &principal, err))
        return -1;
    const char *hex = json_string_value(json_object_get(entry, "sha256"));
    if (!hex || !digest_from(hex, digest))
        return cp_fail_at(err, place, "sha256", "must be 64 hex digits, the SHA-256 of the token");
    if (gw_map_put(&credentials->tokens, gw_str_n(digest, sizeof(digest)), principal))
        return cp_fail_at(err, place, "sha256", "stands here twice");
    return 0;
}

static int add_certificate(struct cp_credentials *credentials, const json_t *entry,
                           struct cp_place place, struct gw_error *err)
{
    static const char *const keys[] = {"name", "principal", "role", "limits", "grants", NULL};
    struct cp_principal *principal;
    const char *name;
    if (cp_check_keys(entry, place, keys, err) || cp_read_text(entry, place, "name", &name, err) ||
        read_principal(credentials, entry, place, &principal, err))
        return -1;
    if (gw_map_put(&credentials->certificates, gw_str_from(name), principal))
        return cp_fail_at(err, place, "name", "stands here twice");
    return 0;
}

static const struct list {
    const char *name;
    size_t max;
    int (*add)(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
               struct gw_error *err);
} lists[] = {
    /* roles first: the others name them */
    {"roles", CP_ROLES_MAX, cp_read_role},
    {"tokens", CP_AUTH_ENTRIES_MAX, add_token},
    {"certificates", CP_AUTH_ENTRIES_MAX, add_certificate},
    {"agents", CP_AUTH_ENTRIES_MAX, cp_read_agent},
    {"issuers", CP_ISSUERS_MAX, cp_read_issuer},
};

static int read_list(struct cp_credentials *credentials, const struct list *list,
                     const json_t *entries, struct gw_error *err)
{
    if (!json_is_array(entries))
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: must be a list", list->name);
    if (json_array_size(entries) > list->max)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: more than %zu entries", list->name,
                       list->max);
    for (size_t i = 0; i < json_array_size(entries); i++)
        if (list->add(credentials, json_array_get(entries, i),
                      (struct cp_place){.list = list->name, .index = i}, err))
            return -1;
    return 0;
}

static const struct list *find_list(const char *name)
{
    for (size_t i = 0; i < GW_ARRAY_LEN(lists); i++)
        if (strcmp(lists[i].name, name) == 0)
            return &lists[i];
    return NULL;
}

static int read_root(struct cp_credentials *credentials, json_t *root, struct gw_error *err)
{
    if (!json_is_object(root))
        return gw_fail(err, GW_INVALID_ARGUMENT, "must be an object");
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (!find_list(key))
            return gw_fail(err, GW_INVALID_ARGUMENT, "%s: unknown key", key);
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(lists); i++) {
        const json_t *entries = json_object_get(root, lists[i].name);
        if (entries && read_list(credentials, &lists[i], entries, err))
            return -1;
    }
    return 0;
}

static int parse(gw_str json, gw_str folder, struct cp_credentials **ret_credentials,
                 struct gw_error *err)
{
    json_error_t at;
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &at);
    if (!root) /* its text quotes the file: only the place is told */
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %d, column %d: not JSON", at.line,
                       at.column);
    struct cp_credentials *credentials = gw_calloc(1, sizeof(*credentials));
    gw_arena_init(&credentials->arena, 0);
    gw_map_init(&credentials->tokens);
    gw_map_init(&credentials->certificates);
    gw_map_init(&credentials->agents);
    gw_map_init(&credentials->roles);
    credentials->folder = gw_arena_dup(&credentials->arena, folder).ptr;
    int failed = read_root(credentials, root, err);
    json_decref(root);
    if (failed)
        cp_credentials_free(credentials);
    else
        *ret_credentials = credentials;
    return failed;
}

int cp_credentials_parse(gw_str json, struct cp_credentials **ret_credentials, struct gw_error *err)
{
    return parse(json, GW_STR(""), ret_credentials, err);
}

static int parse_open_file(FILE *file, gw_str folder, struct cp_credentials **ret_credentials,
                           struct gw_error *err)
{
    gw_auto(gw_freep) char *text = gw_malloc(CP_AUTH_FILE_MAX_BYTES + 1);
    size_t len = fread(text, 1, CP_AUTH_FILE_MAX_BYTES + 1, file);
    if (ferror(file))
        return gw_fail(err, GW_INVALID_ARGUMENT, "cannot be read");
    if (len > CP_AUTH_FILE_MAX_BYTES)
        return gw_fail(err, GW_INVALID_ARGUMENT, "larger than %d bytes", CP_AUTH_FILE_MAX_BYTES);
    return parse(gw_str_n(text, len), folder, ret_credentials, err);
}

int cp_credentials_load(const char *path, struct cp_credentials **ret_credentials,
                        struct gw_error *err)
{
    struct gw_error why = GW_ERROR_NONE;
    FILE *file = fopen(path, "re");
    if (!file)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: %s", path, strerror(errno));
    const char *slash = strrchr(path, '/');
    gw_str folder = gw_str_n(path, slash ? (size_t)(slash + 1 - path) : 0);
    int failed = parse_open_file(file, folder, ret_credentials, &why);
    (void)fclose(file); /* only read: nothing can be lost */
    return failed ? gw_fail(err, why.code, "%s: %s", path, why.message) : 0;
}

void cp_credentials_free(struct cp_credentials *credentials)
{
    if (!credentials)
        return;
    gw_map_done(&credentials->tokens);
    gw_map_done(&credentials->certificates);
    gw_map_done(&credentials->agents);
    gw_map_done(&credentials->roles);
    cp_descriptors_free(credentials->descriptors);
    gw_arena_done(&credentials->arena);
    free(credentials);
}
