/* SPDX-License-Identifier: Apache-2.0 */
/* Apps, from their messages and back. */
#include "common/message.h"
#include "dataplane/snapshot/address_list.h"
#include "dataplane/snapshot/catalog.h"

#include <stdlib.h>

#define KIND(name) PENSTOCK__AGENT__V1__KIND__KIND_##name
#define BLOCK_BYTES 512

typedef Penstock__Agent__V1__App app_message;

static int check(const app_message *app, struct gw_error *err)
{
    if (dp_compile_check_name(app->name, "apps/", err) < 0 ||
        dp_compile_check_text(app->display_name, "display_name", err) < 0)
        return -1;
    if (app->n_app_code_digests > DP_COMPILE_CODES_MAX)
        return gw_fail_field(err, "app_code_digests", "must be at most %d", DP_COMPILE_CODES_MAX);
    if (app->n_routes > DP_COMPILE_GRANTS_MAX)
        return gw_fail_field(err, "routes", "must be at most %d", DP_COMPILE_GRANTS_MAX);
    for (size_t i = 0; i < app->n_app_code_digests; i++) {
        if (app->app_code_digests[i].len != DP_APP_CODE_DIGEST_BYTES)
            return gw_fail_field(err, "app_code_digests", "must have %d bytes each",
                                 DP_APP_CODE_DIGEST_BYTES);
    }
    return 0;
}

int dp_grant_cmp(const void *a, const void *b)
{
    const struct dp_grant *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* The unit alone says neither addresses nor what is not known here. */
static bool has_extras(const app_message *app)
{
    return app->ip_access || app->base.n_unknown_fields > 0;
}

static int set_extras(struct dp_app_unit *unit, const app_message *app, struct gw_error *err)
{
    struct gw_arena *arena = unit->unit.arena;
    struct dp_app_extras *extras = GW_ARENA_NEW(arena, struct dp_app_extras);
    Penstock__Agent__V1__Resource resource = PENSTOCK__AGENT__V1__RESOURCE__INIT;
    resource.kind_case = PENSTOCK__AGENT__V1__RESOURCE__KIND_APP;
    resource.app = (app_message *)(uintptr_t)app; /* only read */
    extras->form = gw_message_pack(arena, &resource.base);
    unit->extras = extras;
    return app->ip_access ? dp_address_list_compile(app->ip_access, arena, &extras->addresses, err)
                          : 0;
}

static void set_grants(struct dp_catalog *catalog, struct dp_app_unit *unit, const app_message *app)
{
    struct dp_grant *grants = (struct dp_grant *)(uintptr_t)dp_app_grants(unit); /* ours as yet */
    for (size_t i = 0; i < app->n_routes; i++) {
        grants[i].route = dp_entry_get(catalog, KIND(ROUTE), dp_entry_key(app->routes[i]));
        grants[i].route->granted++;
        grants[i].number = grants[i].route->route_number;
    }
    qsort(grants, app->n_routes, sizeof grants[0], dp_grant_cmp);
}

struct dp_app_unit *dp_compile_app(struct dp_catalog *catalog, const app_message *app,
                                   struct gw_error *err)
{
    if (check(app, err) < 0)
        return NULL;
    size_t name_len = strlen(app->name), display_name_len = strlen(app->display_name);
    size_t size = sizeof(struct dp_app_unit) + app->n_app_code_digests * sizeof(struct dp_code) +
                  app->n_routes * sizeof(struct dp_grant);
    struct dp_app_unit *unit =
        dp_unit_new(size + name_len + display_name_len, has_extras(app) ? BLOCK_BYTES : 0);
    if (has_extras(app) && set_extras(unit, app, err) < 0) {
        dp_unit_unref(&unit->unit);
        return NULL;
    }
    unit->app.code_count = (uint16_t)app->n_app_code_digests;
    unit->grant_count = (uint32_t)app->n_routes;
    unit->app.name_len = (uint16_t)name_len;
    unit->app.display_name_len = (uint16_t)display_name_len;
    for (size_t i = 0; i < app->n_app_code_digests; i++) {
        unit->codes[i].app = unit;
        memcpy(unit->codes[i].digest, app->app_code_digests[i].data, DP_APP_CODE_DIGEST_BYTES);
    }
    set_grants(catalog, unit, app);
    char *text = (char *)unit + size;
    memcpy(text, app->name, name_len);
    memcpy(text + name_len, app->display_name, display_name_len);
    unit->app.hash = dp_compile_name_hash(&catalog->parts, gw_str_n(text, name_len));
    unit->app.frozen = app->frozen;
    return unit;
}

void dp_app_forget(struct dp_catalog *catalog, const struct dp_app_unit *unit)
{
    const struct dp_grant *grants = dp_app_grants(unit);
    for (uint32_t i = 0; i < unit->grant_count; i++) {
        grants[i].route->granted--;
        dp_entry_release(catalog, grants[i].route);
    }
}

gw_str dp_app_unit_name(const struct dp_app_unit *unit)
{
    return dp_app_name(&unit->app);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *copy_of(struct gw_arena *arena, gw_str text)
{
    return (char *)(uintptr_t)gw_arena_dup(arena, text).ptr; /* a fresh one */
}

gw_str dp_app_form(const struct dp_app_unit *unit, struct gw_arena *arena)
{
    if (unit->extras)
        return unit->extras->form;
    Penstock__Agent__V1__Resource resource = PENSTOCK__AGENT__V1__RESOURCE__INIT;
    app_message app = PENSTOCK__AGENT__V1__APP__INIT;
    gw_str name = dp_app_unit_name(unit);
    app.name = copy_of(arena, name);
    app.display_name = copy_of(arena, gw_str_n(name.ptr + name.len, unit->app.display_name_len));
    app.frozen = unit->app.frozen;
    app.n_app_code_digests = unit->app.code_count;
    app.app_code_digests = GW_ARENA_ARRAY(arena, ProtobufCBinaryData, unit->app.code_count);
    for (unsigned i = 0; i < unit->app.code_count; i++)
        app.app_code_digests[i] = (ProtobufCBinaryData){
            DP_APP_CODE_DIGEST_BYTES, (uint8_t *)(uintptr_t)unit->codes[i].digest};
    app.n_routes = unit->grant_count;
    app.routes = GW_ARENA_ARRAY(arena, char *, unit->grant_count);
    for (uint32_t i = 0; i < unit->grant_count; i++)
        app.routes[i] = dp_app_grants(unit)[i].route->text;
    qsort(app.routes, app.n_routes, sizeof app.routes[0], by_text); /* as the control plane does */
    resource.kind_case = PENSTOCK__AGENT__V1__RESOURCE__KIND_APP;
    resource.app = &app;
    return gw_message_pack(arena, &resource.base);
}
