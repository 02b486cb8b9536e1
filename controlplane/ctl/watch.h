/* SPDX-License-Identifier: Apache-2.0 */
/* get --watch: what there is, and then what changes, until Ctrl-C. */
#ifndef CP_CTL_WATCH_H
#define CP_CTL_WATCH_H

#include "controlplane/ctl/call.h"

/* What get was asked for. */
struct cp_scope {
    const struct cp_ctl_kind *kind;
    bool is_name;
    gw_str
        name; /* of the resource, or of the parent that is listed under: "", "groups/-" for all */
};
/* Shows what there is now. */
typedef int cp_show_fn(struct cp_session *session, const struct cp_scope *scope,
                       struct gw_error *err);
/* -1 with err when it ends; when changes were missed, shows all again and goes on. */
GW_MUST_CHECK int cp_watch_scope(struct cp_session *session, const struct cp_scope *scope,
                                 cp_show_fn *show, struct gw_error *err);

#endif
