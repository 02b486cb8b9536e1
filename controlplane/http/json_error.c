/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_error.h"

#include <jansson.h>
#include <stdlib.h>

#define DOMAIN "penstock"
#define TYPE "type.googleapis.com/google.rpc."

/* Texts of errors are UTF-8, so nothing here can fail. */
static json_t *info_of(const struct gw_error *err)
{
    json_t *metadata = json_object();
    if (err->apig[0])
        (void)json_object_set_new(metadata, "apig_code", json_string(err->apig));
    return json_pack("{s:s, s:s, s:s, s:o}", "@type", TYPE "ErrorInfo", "reason",
                     err->reason[0] ? err->reason : gw_code_name(err->code), "domain", DOMAIN,
                     "metadata", metadata);
}

static json_t *violations_of(const struct gw_error *err)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < err->violation_count; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "field", err->violations[i].field,
                                                    "description", err->violations[i].rule));
    return json_pack("{s:s, s:o}", "@type", TYPE "BadRequest", "fieldViolations", list);
}

void cp_json_error_write(struct gw_buf *out, const struct gw_error *err, unsigned status)
{
    json_t *details = json_array();
    (void)json_array_append_new(details, info_of(err));
    if (err->violation_count)
        (void)json_array_append_new(details, violations_of(err));
    json_t *root = json_pack("{s:{s:i, s:s, s:s, s:o}}", "error", "code", (int)status, "message",
                             err->message, "status", gw_code_name(err->code), "details", details);
    assert(root);
    char *text = json_dumps(root, JSON_COMPACT);
    int rc = gw_buf_append(out, gw_str_from(text));
    rc |= gw_buf_append(out, GW_STR("\n"));
    assert(rc == 0); /* no limit */
    (void)rc;
    free(text);
    json_decref(root);
}
