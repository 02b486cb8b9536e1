/* SPDX-License-Identifier: Apache-2.0 */
/* config: the contexts of the user's file, shown and changed. */
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/contexts.h"
#include "controlplane/yaml/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTEXTS "contexts"
#define CURRENT "current"

struct edit {
    struct cp_session *session;
    json_t *config;
    const char *name; /* of the context; NULL: not given */
};

/* ---- the file */

/* All folders above it, for the user alone. */
static void make_folders(struct gw_arena *arena, const char *path)
{
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/'))
        (void)mkdir(gw_arena_dup(arena, gw_str_n(path, (size_t)(slash - path))).ptr, 0700);
}

/* Whole or not at all: somebody may be reading it. */
static int write_file(const struct edit *edit, struct gw_error *err)
{
    struct gw_arena *arena = &edit->session->arena;
    gw_str path = cp_contexts_path(arena), text = cp_yaml_write(edit->config, arena);
    if (path.len == 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "PENSTOCK_CONFIG says where, without a HOME");
    make_folders(arena, path.ptr);
    const char *draft = gw_arena_printf(arena, "%s.%d.new", path.ptr, (int)getpid()).ptr;
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_whole = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    is_whole = fd >= 0 && close(fd) == 0 && is_whole;
    if (is_whole && rename(draft, path.ptr) == 0)
        return 0;
    (void)gw_fail(err, GW_UNKNOWN, "%s: %s", path.ptr, strerror(errno));
    (void)unlink(draft);
    return -1;
}

static json_t *contexts_of(json_t *config)
{
    json_t *contexts = json_object_get(config, CONTEXTS);
    if (!contexts) {
        contexts = json_array();
        json_object_set_new(config, CONTEXTS, contexts);
    }
    return contexts;
}

static int need_context(const struct edit *edit, json_t **ret_context, struct gw_error *err)
{
    *ret_context = cp_contexts_find(edit->config, edit->name);
    if (*ret_context)
        return 0;
    return gw_fail(err, GW_NOT_FOUND, "there is no context %s", edit->name);
}

/* ---- what can be done */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static int get_contexts(struct edit *edit, struct gw_error *err)
{
    size_t i, width = strlen("NAME");
    json_t *context;
    (void)err;
    const char *current = text_of(edit->config, CURRENT);
    if (json_array_size(json_object_get(edit->config, CONTEXTS)) == 0) {
        fputs("No context found: penstockctl config set-context NAME --server HOST:PORT\n", stderr);
        return 0;
    }
    json_array_foreach(json_object_get(edit->config, CONTEXTS), i, context) width =
        GW_MAX(width, strlen(text_of(context, "name")));
    printf("CURRENT  %-*s  SERVER\n", (int)width, "NAME");
    json_array_foreach(json_object_get(edit->config, CONTEXTS), i, context)
        printf("%-7s  %-*s  %s\n", strcmp(text_of(context, "name"), current) == 0 ? "*" : "",
               (int)width, text_of(context, "name"), text_of(context, "server"));
    return 0;
}

static int current_context(struct edit *edit, struct gw_error *err)
{
    const char *current = json_string_value(json_object_get(edit->config, CURRENT));
    if (!current)
        return gw_fail(err, GW_NOT_FOUND, "no context is current");
    puts(current);
    return 0;
}

static int use_context(struct edit *edit, struct gw_error *err)
{
    json_t *context;
    if (need_context(edit, &context, err) < 0)
        return -1;
    json_object_set_new(edit->config, CURRENT, json_string(edit->name));
    if (write_file(edit, err) < 0)
        return -1;
    printf("%s is the current context now\n", edit->name);
    return 0;
}

static bool is_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
            return false;
    return len > 0 && len <= CP_CONTEXT_NAME_MAX;
}

/* Files are found from wherever the command is run. */
static json_t *value_of(const struct cp_connection_field *field, const char *said)
{
    char *whole = field->is_file ? realpath(said, NULL) : NULL;
    json_t *value = json_string(whole ? whole : said);
    free(whole);
    return value;
}

/* Only what flags say changes, as with apply. */
static int set_context(struct edit *edit, struct gw_error *err)
{
    const struct cp_connection_field *fields;
    size_t count = cp_connection_fields(&fields);
    json_t *context = cp_contexts_find(edit->config, edit->name);
    bool is_new = !context;
    if (!is_name(edit->name))
        return gw_fail(err, GW_INVALID_ARGUMENT, "a context's name has 1 to %d bytes and no blanks",
                       CP_CONTEXT_NAME_MAX);
    if (is_new && json_array_size(contexts_of(edit->config)) == CP_CONTEXTS_MAX)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "there are %d contexts", CP_CONTEXTS_MAX);
    if (is_new) {
        context = json_pack("{s:s}", "name", edit->name);
        json_array_append_new(contexts_of(edit->config), context);
    }
    for (size_t i = 0; i < count; i++) {
        struct cp_connection given = edit->session->options->given;
        const char *said = *cp_connection_slot(&given, &fields[i]);
        if (said && *said)
            json_object_set_new(context, fields[i].key, value_of(&fields[i], said));
        else if (said)
            json_object_del(context, fields[i].key);
    }
    if (write_file(edit, err) < 0)
        return -1;
    printf("%s %s\n", edit->name, is_new ? "created" : "configured");
    return 0;
}

static int delete_context(struct edit *edit, struct gw_error *err)
{
    size_t i;
    json_t *context, *found;
    if (need_context(edit, &found, err) < 0)
        return -1;
    if (strcmp(text_of(edit->config, CURRENT), edit->name) == 0)
        json_object_del(edit->config, CURRENT);
    json_array_foreach(json_object_get(edit->config, CONTEXTS), i, context) if (context == found)
    {
        json_array_remove(json_object_get(edit->config, CONTEXTS), i);
        break;
    }
    if (write_file(edit, err) < 0)
        return -1;
    printf("%s deleted\n", edit->name);
    return 0;
}

/* ---- the command */

static const struct {
    const char *word;
    bool takes_name;
    int (*run)(struct edit *edit, struct gw_error *err);
} words[] = {{"get-contexts", false, get_contexts},
             {"current-context", false, current_context},
             {"use-context", true, use_context},
             {"set-context", true, set_context},
             {"delete-context", true, delete_context}};

const char *cp_config_word(unsigned index)
{
    return index < GW_ARRAY_LEN(words) ? words[index].word : NULL;
}

int cp_command_config(struct cp_session *session, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    struct edit edit = {.session = session,
                        .name = options->arg_count > 1 ? options->args[1] : NULL};
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++) {
        if (strcmp(options->args[0], words[i].word) != 0)
            continue;
        if (words[i].takes_name != (edit.name != NULL))
            break;
        if (cp_contexts_read(&edit.config, err) < 0)
            return -1;
        int status = words[i].run(&edit, err);
        json_decref(edit.config);
        return status;
    }
    (void)gw_fail(err, GW_INVALID_ARGUMENT,
                  "usage: penstockctl config get-contexts | current-context | use-context NAME | "
                  "set-context NAME [--server ...] | delete-context NAME");
    return cp_usage(err);
}
