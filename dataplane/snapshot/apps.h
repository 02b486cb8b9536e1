/* SPDX-License-Identifier: Apache-2.0 */
/* The apps of a catalog. There may be a million, so an app in force is its unit and nothing else:
 * no entry, no packed form. More is kept only of those whose newest form is refused. Private to the
 * catalog. Sync thread. */
#ifndef DP_SNAPSHOT_APPS_H
#define DP_SNAPSHOT_APPS_H

#include "common/map.h"
#include "dataplane/snapshot/parts.h"

struct dp_catalog;

/* A new form, until it is in force or refused. */
struct dp_app_change {
    struct dp_app_unit *candidate;                /* a reference; NULL: not compiled yet */
    const Penstock__Agent__V1__Resource *message; /* borrowed; NULL: refused before */
    gw_str name;                                  /* borrowed */
};

struct dp_apps {
    struct dp_trie by_name; /* struct dp_app_unit: in force */
    struct dp_trie codes;   /* code_map.h: who has an AppCode */
    size_t count;           /* in force */
    struct gw_map refused;  /* by name: struct dp_refused_app; owned */
    /* Of the update that is under way. */
    struct gw_map leaving; /* names: they are removed after all that comes; no values */
    struct dp_app_change *changes;
    size_t change_count, change_room;
};

void dp_apps_init(struct dp_apps *apps);
void dp_apps_done(struct dp_apps *apps);

/* An update in steps. First each name that it removes, then what it brings, then, if it is a full
 * one, an end to all that it did not bring, then what has changed comes into force or is refused.
 */
void dp_apps_remove(struct dp_catalog *catalog, gw_str name);
void dp_apps_take(struct dp_catalog *catalog, const Penstock__Agent__V1__Resource *message);
void dp_apps_sweep(struct dp_catalog *catalog);
void dp_apps_compile(struct dp_catalog *catalog, int64_t revision);

size_t dp_apps_refused_count(const struct dp_apps *apps);
/* Fills that many; text in the arena. */
void dp_apps_report(const struct dp_apps *apps, struct gw_arena *arena, struct dp_refused *items);
/* Adds the newest forms of all. */
void dp_apps_digest(const struct dp_apps *apps, struct gw_content_digest *sum);
/* False: fn has stopped it. */
bool dp_apps_each(const struct dp_catalog *catalog, dp_catalog_fn *fn, void *arg);
bool dp_apps_each_refused(const struct dp_apps *apps, dp_catalog_fn *fn, void *arg);

/* ---- compile_app.c */

/* With one reference; NULL with err. What it may call is granted until dp_app_forget. */
struct dp_app_unit *dp_compile_app(struct dp_catalog *catalog, const Penstock__Agent__V1__App *app,
                                   struct gw_error *err);
/* It is not, or no longer, in force: routes need not be known for its sake. */
void dp_app_forget(struct dp_catalog *catalog, const struct dp_app_unit *unit);
/* In the arena: a form that it would be compiled from. */
gw_str dp_app_form(const struct dp_app_unit *unit, struct gw_arena *arena);
gw_str dp_app_unit_name(const struct dp_app_unit *unit);

#endif
