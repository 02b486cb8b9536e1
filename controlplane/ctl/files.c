/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct files {
    struct cp_session *session;
    const char **paths; /* in the session's arena */
    size_t count, room;
};

static int add_path(struct files *files, const char *path, struct gw_error *err)
{
    if (files->count == CP_FOLDER_FILES_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "-f names more than %d files",
                       CP_FOLDER_FILES_MAX);
    if (files->count == files->room) {
        files->room = GW_MAX((size_t)16, 2 * files->room);
        const char **paths = GW_ARENA_ARRAY(&files->session->arena, const char *, files->room);
        if (files->count > 0)
            memcpy(paths, files->paths, files->count * sizeof *paths);
        files->paths = paths;
    }
    files->paths[files->count++] = path;
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_document(const char *name)
{
    static const char *const ends[] = {".yaml", ".yml", ".json"};
    for (size_t i = 0; i < GW_ARRAY_LEN(ends); i++)
        if (name[0] != '.' && gw_str_has_suffix(gw_str_from(name), gw_str_from(ends[i])))
            return true;
    return false;
}

/* By name, so that the same folder is always read the same way. */
static int add_folder(struct files *files, const char *folder, unsigned depth, struct gw_error *err)
{
    struct dirent **entries;
    int result = 0, count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        const char *path = gw_arena_printf(&files->session->arena, "%s/%s", folder, name).ptr;
        bool is_inner = name[0] != '.' && files->session->options->recursive && is_folder(path);
        if (result == 0 && is_inner && depth == CP_FOLDER_DEPTH_MAX)
            result = gw_fail(err, GW_INVALID_ARGUMENT, "%s: more than %d folders deep", path,
                             CP_FOLDER_DEPTH_MAX);
        else if (result == 0 && is_inner)
            result = add_folder(files, path, depth + 1, err);
        else if (result == 0 && is_document(name) && !is_folder(path))
            result = add_path(files, path, err);
        free(entries[i]);
    }
    free(entries);
    return result;
}

static int find_paths(struct files *files, struct gw_error *err)
{
    const struct cp_options *options = files->session->options;
    for (unsigned i = 0; i < options->file_count; i++) {
        const char *path = options->files[i];
        if ((is_folder(path) ? add_folder(files, path, 1, err) : add_path(files, path, err)) < 0)
            return -1;
    }
    return 0;
}

int cp_files_read(struct cp_session *session, struct cp_document **ret_documents, size_t *ret_count,
                  struct gw_error *err)
{
    const struct cp_options *options = session->options;
    struct files files = {.session = session};
    if (options->file_count == 0) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s needs -f FILE", options->command);
        return cp_usage(err);
    }
    if (find_paths(&files, err) < 0)
        return -1;
    struct cp_document **parts =
        GW_ARENA_ARRAY(&session->arena, struct cp_document *, files.count + 1);
    size_t *counts = GW_ARENA_ARRAY(&session->arena, size_t, files.count + 1), count = 0;
    for (size_t i = 0; i < files.count; i++) {
        if (cp_documents_read(files.paths[i], &session->arena, &parts[i], &counts[i], err) < 0)
            return -1;
        count += counts[i];
    }
    *ret_documents = GW_ARENA_ARRAY(&session->arena, struct cp_document, count + 1);
    *ret_count = 0;
    for (size_t i = 0; i < files.count; i++)
        for (size_t j = 0; j < counts[i]; j++)
            (*ret_documents)[(*ret_count)++] = parts[i][j];
    if (count > 0 || options->prune)
        return 0;
    return gw_fail(err, GW_INVALID_ARGUMENT, "there is no resource in what %s reads",
                   options->command);
}

int cp_secret_read(struct cp_session *session, const char *path, char **ret_secret,
                   struct gw_error *err)
{
    struct gw_buf text;
    gw_buf_init(&text, CP_SECRET_FILE_MAX);
    int result = cp_file_read(path, &text, err);
    gw_str secret = gw_buf_view(&text);
    while (gw_str_has_suffix(secret, GW_STR("\n")) || gw_str_has_suffix(secret, GW_STR("\r")))
        secret.len--;
    *ret_secret =
        (char *)(uintptr_t)gw_arena_printf(&session->arena, "%.*s", GW_STR_ARG(secret)).ptr;
    gw_buf_done(&text);
    return result;
}
