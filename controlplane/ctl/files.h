/* SPDX-License-Identifier: Apache-2.0 */
/* What -f names: files, folders of files, stdin. */
#ifndef CP_CTL_FILES_H
#define CP_CTL_FILES_H

#include "controlplane/ctl/call.h"
#include "controlplane/ctl/documents.h"

#define CP_FOLDER_FILES_MAX 10000
#define CP_FOLDER_DEPTH_MAX 32

/* The documents of all files, before anything is written: a mistake in the last one leaves nothing
 * half done. None at all is an error. */
GW_MUST_CHECK int cp_files_read(struct cp_session *session, struct cp_document **ret_documents,
                                size_t *ret_count, struct gw_error *err);

#endif
