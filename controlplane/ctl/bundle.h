/* SPDX-License-Identifier: Apache-2.0 */
/* What apply, diff of files and export share. */
#ifndef CP_CTL_BUNDLE_H
#define CP_CTL_BUNDLE_H

#include "controlplane/ctl/call.h"
#include "controlplane/ctl/documents.h"

#include "penstock/admin/v1/bundle.pb-c.h"

typedef Penstock__Admin__V1__BundleResource bundle_resource;
typedef Penstock__Admin__V1__ApplyRequest apply_request;
typedef Penstock__Admin__V1__ApplyResponse apply_reply;
typedef Penstock__Admin__V1__AppliedResource applied;
typedef Penstock__Admin__V1__ResourceRefusal refusal;
typedef Penstock__Admin__V1__FieldChange field_change;

/* Of the files: what bundles hold, and kinds that they do not, which are written one by one. */
struct cp_bundle_files {
    struct cp_document *documents, *others;
    size_t count, other_count;
};

/* The member of BundleResource for the kind; NULL: bundles do not hold it. */
const ProtobufCFieldDescriptor *cp_bundle_field(const struct cp_ctl_kind *kind);
/* diff -f: the exit status, or -1. */
GW_MUST_CHECK int cp_diff_files(struct cp_session *session, struct gw_error *err);

#endif
