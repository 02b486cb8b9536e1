/* SPDX-License-Identifier: Apache-2.0 */
/* What older agents do not know. Those that say so in their Hello (refuses_unknown) refuse it by
 * themselves; the others would pass it over, so it is held back from them. */
#ifndef CP_SNAPSHOT_NEWER_H
#define CP_SNAPSHOT_NEWER_H

#include "controlplane/snapshot/image.h"

/* In a mask of kinds, where KIND_UNSPECIFIED would be: the agent refuses what it does not know. */
#define CP_KINDS_STRICT 1u

/* The field of a packed Resource that came after the first agents: "App.ip_access"; NULL: it has
 * none. */
const char *cp_newer_field(gw_str packed);

/* What an agent of such kinds does not get, for all that is in its image: what is of a kind that it
 * does not know, and what has such a field. Calls visit for at most max of them; how many there
 * are. The image's lock is held meanwhile. */
typedef void cp_held_back_visit(void *arg, gw_str name, int64_t revision, const char *reason);
size_t cp_image_held_back(struct cp_image *image, unsigned kinds, size_t max,
                          cp_held_back_visit *visit, void *arg);

#endif
