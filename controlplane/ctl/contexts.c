/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/contexts.h"

#include "common/buf.h"
#include "controlplane/yaml/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (1024 * 1024)
#define CONTEXTS "contexts"

gw_str cp_contexts_path(struct gw_arena *arena)
{
    const char *own = getenv("PENSTOCK_CONFIG"), *base = getenv("XDG_CONFIG_HOME"),
               *home = getenv("HOME");
    if (own && *own)
        return gw_arena_printf(arena, "%s", own);
    if (base && *base)
        return gw_arena_printf(arena, "%s/penstock/config.yaml", base);
    if (home && *home)
        return gw_arena_printf(arena, "%s/.config/penstock/config.yaml", home);
    return GW_STR("");
}

static int parse(gw_str text, const char *path, json_t **ret_config, struct gw_error *err)
{
    static const struct cp_yaml_limits limits = {.depth = 8, .values = 20 * CP_CONTEXTS_MAX};
    struct cp_yaml *yaml = cp_yaml_open(text, &limits);
    size_t line;
    char said[GW_ERROR_MESSAGE_MAX];
    int found = cp_yaml_next(yaml, ret_config, &line, err);
    cp_yaml_close(yaml);
    if (found < 0) {
        memcpy(said, err->message, sizeof said);
        return gw_fail(err, GW_INVALID_ARGUMENT, "%.200s: %.250s", path, said);
    }
    if (found == 0)
        *ret_config = json_object();
    json_t *contexts = json_object_get(*ret_config, CONTEXTS);
    if (json_is_object(*ret_config) && (!contexts || json_is_array(contexts)) &&
        json_array_size(contexts) <= CP_CONTEXTS_MAX)
        return 0;
    json_decref(*ret_config);
    *ret_config = NULL;
    return gw_fail(err, GW_INVALID_ARGUMENT,
                   "%.200s is no file of contexts: it needs \"contexts\", a list of at most %d",
                   path, CP_CONTEXTS_MAX);
}

int cp_contexts_read(json_t **ret_config, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    const char *path = cp_contexts_path(&arena).ptr;
    FILE *file = *path ? fopen(path, "re") : NULL;
    if (!file && *path && errno != ENOENT && errno != ENOTDIR)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: %s", path, strerror(errno));
    if (!file) {
        *ret_config = json_object();
        return 0;
    }
    char *bytes = gw_arena_bytes(&arena, FILE_BYTES_MAX);
    size_t len = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    if (len == FILE_BYTES_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s has more than %d bytes", path,
                       FILE_BYTES_MAX - 1);
    return parse(gw_str_n(bytes, len), path, ret_config, err);
}

json_t *cp_contexts_find(const json_t *config, const char *name)
{
    size_t i;
    json_t *context;
    json_array_foreach(json_object_get(config, CONTEXTS), i, context)
    {
        const char *its = json_string_value(json_object_get(context, "name"));
        if (its && strcmp(its, name) == 0)
            return context;
    }
    return NULL;
}

static int fill(struct cp_options *options, const json_t *context, const char *name,
                struct gw_error *err)
{
    const struct cp_connection_field *fields;
    size_t count = cp_connection_fields(&fields);
    for (size_t i = 0; i < count; i++) {
        const char **slot = cp_connection_slot(&options->connection, &fields[i]);
        const json_t *value = json_object_get(context, fields[i].key);
        if (value && !json_is_string(value))
            return gw_fail_field(err, "--context", "%s: its %s is no text", name, fields[i].key);
        if (value && !*slot)
            *slot = json_string_value(value);
    }
    return 0;
}

int cp_contexts_fill(struct cp_options *options, struct gw_error *err)
{
    const char *name = options->context;
    if (!name && options->connection.server)
        return 0;
    if (cp_contexts_read(&options->config, err) < 0)
        return -1;
    if (!name)
        name = json_string_value(json_object_get(options->config, "current"));
    if (!name) {
        json_decref(options->config);
        options->config = NULL;
        return 0;
    }
    const json_t *context = cp_contexts_find(options->config, name);
    if (!context)
        return gw_fail_field(err, "--context",
                             "there is no context %.64s: penstockctl config "
                             "get-contexts lists them",
                             name);
    return fill(options, context, name, err);
}
