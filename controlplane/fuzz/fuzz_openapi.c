/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as an OpenAPI document: it is read or refused; what becomes a draft that the management
 * API would take is written as a document of both versions and both forms, and reads back as the
 * same draft. */
#include "common/message.h"
#include "controlplane/model/check_api.h"
#include "controlplane/openapi/openapi.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cp_openapi_options options = {.group = "groups/g"};

static void expect(bool condition, const char *what, const char *where)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s: %s\n", what, where);
    abort();
}

/* Those that the service would create, by names of their own. */
static size_t take_good(struct gw_arena *arena, struct cp_openapi *document, cp_api **apis)
{
    size_t count = 0;
    for (size_t i = 0; i < document->count; i++) {
        struct gw_error err = GW_ERROR_NONE;
        struct cp_openapi_operation *op = &document->operations[i];
        for (size_t k = 0; k < op->note_count; k++)
            expect(gw_str_is_utf8(gw_str_from(op->notes[k])), "a note", op->path);
        expect((op->api == NULL) == (op->err != NULL), "neither", op->path);
        if (!op->api || cp_check_api(op->api, &err) < 0)
            continue;
        op->api->name =
            (char *)(uintptr_t)gw_arena_printf(arena, "groups/g/apis/%.50s-%zu", op->id, i).ptr;
        cp_fill_api(arena, op->api);
        if (cp_check_api(op->api, &err) == 0)
            apis[count++] = op->api;
    }
    return count;
}

static const struct cp_openapi_operation *find(const struct cp_openapi *document, const char *id)
{
    for (size_t i = 0; i < document->count; i++)
        if (strcmp(document->operations[i].id, id) == 0)
            return &document->operations[i];
    return NULL;
}

static void check_same(struct gw_arena *arena, const cp_api *api, const struct cp_openapi *again)
{
    const char *id = strrchr(api->name, '/') + 1;
    const struct cp_openapi_operation *op = find(again, id);
    expect(op != NULL, "not there", id);
    expect(op->api != NULL, "refused", op->err ? op->err->message : id);
    op->api->name = api->name;
    cp_fill_api(arena, op->api);
    expect(gw_str_eq(gw_message_pack(arena, &op->api->base), gw_message_pack(arena, &api->base)),
           "another draft", id);
}

static void check_round_trip(struct gw_arena *arena, cp_api **apis, size_t count, bool is_v2,
                             bool is_yaml)
{
    const struct cp_openapi_source source = {.title = "t",
                                             .description = "",
                                             .version = "1",
                                             .apis = apis,
                                             .count = count,
                                             .is_v2 = is_v2,
                                             .is_yaml = is_yaml};
    const struct gw_error **skipped;
    struct cp_openapi again;
    struct gw_error err = GW_ERROR_NONE;
    gw_str text = cp_openapi_write(arena, &source, &skipped);
    expect(cp_openapi_read(arena, text, &options, &again, &err) == 0, "not read", err.message);
    for (size_t i = 0; i < count; i++)
        if (!skipped[i])
            check_same(arena, apis[i], &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_arena arena = {0};
    struct cp_openapi document;
    struct gw_error err = GW_ERROR_NONE;
    if (cp_openapi_read(&arena, gw_str_n((const char *)data, size), &options, &document, &err) ==
        0) {
        cp_api **apis = GW_ARENA_ARRAY(&arena, cp_api *, document.count + 1);
        size_t count = take_good(&arena, &document, apis);
        for (int form = 0; form < 4; form++)
            check_round_trip(&arena, apis, count, form & 1, form & 2);
    }
    gw_arena_done(&arena);
    return 0;
}
