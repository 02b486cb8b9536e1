/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent may get of the image: all of it, or what some environments need. That is their
 * routes, the groups, channels and policies of these, the certificates of both, and the apps that
 * may call them, without their other authorizations. Settings are for everybody; keys of session
 * tickets are derived for each scope, so that no agent opens another scope's tickets.
 *
 * A scope is an image of its own, kept up to date with the whole one: what lies outside of it
 * changes nothing there but the seen revision. Its cluster id has the scope in it, so an agent that
 * comes with another scope than before gets a full snapshot. Agents of a scope share its deltas. */
#ifndef CP_SNAPSHOT_SCOPE_H
#define CP_SNAPSHOT_SCOPE_H

#include "common/arena.h"
#include "controlplane/snapshot/image.h"

#define CP_SCOPE_ENVIRONMENTS_MAX 32
#define CP_SCOPES_MAX 256 /* different ones in use at a time */

/* The scope's text: ids of environments, in order, by comma. "" for none, which is everything. */
gw_str cp_scope_text(struct gw_arena *arena, const char *const *environments, size_t count);

/* The image of the scope, the whole one for ""; to be given back with cp_scope_leave. NULL: there
 * are CP_SCOPES_MAX others in use. Any thread. */
struct cp_image *cp_scope_join(struct cp_image *whole, gw_str scope);
/* Takes the whole image and NULL as well. */
void cp_scope_leave(struct cp_image *whole, struct cp_image *image);

/* Whether the two texts of cluster ids are of one cluster, whatever their scopes are. */
bool cp_scope_same_cluster(const char *a, const char *b);

#endif
