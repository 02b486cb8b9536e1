/* SPDX-License-Identifier: Apache-2.0 */
/* Files of resources: YAML or JSON, several documents, each with `kind` and the resource's fields.
 * A text field may come from a file of its own, found from the document's place:
 * `certificatePem: {file: shop.crt}`. */
#ifndef CP_CTL_DOCUMENTS_H
#define CP_CTL_DOCUMENTS_H

#include "common/buf.h"
#include "controlplane/ctl/kinds.h"

#define CP_DOCUMENT_BYTES_MAX (16 * 1024 * 1024) /* one file */
#define CP_DOCUMENT_DEPTH_MAX 32

struct cp_document {
    const struct cp_ctl_kind *kind;
    ProtobufCMessage *resource;
    gw_str name; /* resource's `name` */
    char **
        fields; /* proto names of the fields that the document says, also those it says are empty */
    size_t field_count;
    gw_str origin; /* "orders.yaml:12", for errors */
};

/* All bytes of the file ("-": stdin), as many as the buffer's limit allows. */
GW_MUST_CHECK int cp_file_read(const char *path, struct gw_buf *out, struct gw_error *err);

/* Reads all documents of the file ("-": stdin) into the arena. Errors name file, line and field. */
GW_MUST_CHECK int cp_documents_read(const char *path, struct gw_arena *arena,
                                    struct cp_document **ret_documents, size_t *ret_count,
                                    struct gw_error *err);

/* The file ("-": stdin) as it is, in the arena. */
GW_MUST_CHECK int cp_document_text(const char *path, struct gw_arena *arena, gw_str *ret_text,
                                   struct gw_error *err);

/* The document of a resource as JSON text (one line) or YAML text (ends with a newline). */
gw_str cp_document_json(const struct cp_ctl_kind *kind, const ProtobufCMessage *resource,
                        struct gw_arena *arena);
gw_str cp_document_yaml(const struct cp_ctl_kind *kind, const ProtobufCMessage *resource,
                        struct gw_arena *arena);

#endif
