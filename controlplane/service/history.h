/* SPDX-License-Identifier: Apache-2.0 */
/* An API's releases and publications, as they lie in the store.
 *
 * A publication is one per API and environment. It names the effective release, and none after
 * the API was taken offline; it stays until the API is deleted, because it counts the releases. A
 * release refers to its channel and its certificate, so that what can be rolled back to can also be
 * served. The path and method of an effective release are claimed, and those of drafts: two APIs of
 * a group can neither be written nor published with the same. */
#ifndef CP_SERVICE_HISTORY_H
#define CP_SERVICE_HISTORY_H

#include "controlplane/model/types.h"
#include "controlplane/service/change.h"

#define CP_ENVIRONMENT_DEFAULT "environments/RELEASE"

char *cp_publication_name(struct gw_arena *arena, const char *api, const char *environment);
char *cp_release_name(struct gw_arena *arena, const char *api, const char *environment,
                      int64_t number);
/* "groups/g/apis/a/releases/RELEASE-3" to API, environment and publication. Well-formed. */
void cp_release_split(struct gw_arena *arena, const char *release, char **ret_api,
                      char **ret_environment);

/* ---- frozen definitions; pure */

/* What a release of this draft holds: definition and draft_etag. Nothing else is set. */
cp_release *cp_freeze_api(struct gw_arena *arena, const cp_api *draft, const char *draft_etag);
/* The definition again. INTERNAL: it cannot be read. */
GW_MUST_CHECK int cp_thaw_release(struct gw_arena *arena, const cp_release *release,
                                  cp_api **ret_definition, struct gw_error *err);
/* The same before variables were put in. */
GW_MUST_CHECK int cp_thaw_unresolved(struct gw_arena *arena, const cp_release *release,
                                     cp_api **ret_definition, struct gw_error *err);

/* ---- what a draft or a release of that name uses: its channel and its certificate */

/* NOT_FOUND, naming what is not there. */
GW_MUST_CHECK int cp_refer_backend(const struct cp_call *call, struct cp_change *change,
                                   enum cp_kind_id kind, const char *name, const cp_api *definition,
                                   struct gw_error *err);
void cp_unrefer_backend(struct cp_change *change, enum cp_kind_id kind, const char *name,
                        const cp_api *definition);

/* ---- the route's place */

/* ALREADY_EXISTS, naming the API that has it. */
GW_MUST_CHECK int cp_claim_route(const struct cp_call *call, struct cp_change *change,
                                 const char *api, const char *environment, const cp_api *definition,
                                 struct gw_error *err);
/* The keys that the claim, and cp_refer_backend, will read. */
void cp_add_route_keys(const struct cp_call *call, struct cp_keys *keys, const char *api,
                       const char *environment, const cp_api *definition);
/* Of a draft: two of a group cannot have the same. before: NULL at its creation. */
GW_MUST_CHECK int cp_claim_draft_route(const struct cp_call *call, struct cp_change *change,
                                       const cp_api *draft, const cp_api *before,
                                       struct gw_error *err);
void cp_release_draft_route(struct cp_change *change, const cp_api *draft);
/* Of the release that was effective; nothing when it is not there. */
GW_MUST_CHECK int cp_release_route(const struct cp_call *call, struct cp_change *change,
                                   const char *release, struct gw_error *err);

/* ---- history */

struct cp_past {
    const char *name;
    int64_t revision; /* at which it was made */
};
/* The releases of an API, of one environment or (NULL) all, by number within each. */
GW_MUST_CHECK int cp_history_list(const struct cp_call *call, const char *api,
                                  const char *environment, struct cp_past **ret_past,
                                  size_t *ret_count, struct gw_error *err);
/* Deletes one; not there is fine. Up to CP_DROP_RELEASE_OPS operations. */
#define CP_DROP_RELEASE_OPS 3
GW_MUST_CHECK int cp_history_drop(const struct cp_call *call, struct cp_change *change,
                                  const char *release, struct gw_error *err);

extern const struct cp_resource_rules cp_release_rules;

#endif
