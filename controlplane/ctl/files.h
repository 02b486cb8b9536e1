/* SPDX-License-Identifier: Apache-2.0 */
/* What -f names: files, folders of files, stdin. */
#ifndef CP_CTL_FILES_H
#define CP_CTL_FILES_H

#include "controlplane/ctl/call.h"
#include "controlplane/ctl/documents.h"

#define CP_FOLDER_FILES_MAX 10000
#define CP_FOLDER_DEPTH_MAX 32
#define CP_SECRET_FILE_MAX (128 * 1024) /* much more than any may have: the server says so */

/* The documents of all files, before anything is written: a mistake in the last one leaves nothing
 * half done. None at all is an error. */
GW_MUST_CHECK int cp_files_read(struct cp_session *session, struct cp_document **ret_documents,
                                size_t *ret_count, struct gw_error *err);

/* A secret from a file ("-": stdin), without the end of its last line. Never from the command line,
 * where every user of the machine could read it. */
GW_MUST_CHECK int cp_secret_read(struct cp_session *session, const char *path, char **ret_secret,
                                 struct gw_error *err);

#endif
