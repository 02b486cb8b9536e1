/* SPDX-License-Identifier: Apache-2.0 */
/* What checks of several kinds share. Each adds its violation to err and lets the check go on, so
 * that a person hears of everything that is wrong at once. Pure. */
#ifndef CP_MODEL_CHECK_H
#define CP_MODEL_CHECK_H

#include "controlplane/model/types.h"

#include "common/error.h"

#define CP_LABELS_MAX 64
#define CP_LABEL_KEY_MAX 63
#define CP_LABEL_VALUE_MAX 255

/* Characters of UTF-8. */
size_t cp_characters(const char *text);
/* At most max bytes. */
void cp_check_bytes(const char *text, size_t max, const char *field, struct gw_error *err);
/* Empty, or min to max characters. */
void cp_check_characters(const char *text, size_t min, size_t max, const char *field,
                         struct gw_error *err);
/* Empty, the id of the name, which is the default, or min to max characters. */
void cp_check_display_name(const char *display_name, const char *name, size_t min, size_t max,
                           struct gw_error *err);
/* "labels" of any resource that has them. */
void cp_check_labels(const ProtobufCMessage *message, struct gw_error *err);
/* A host name or an address without brackets. */
bool cp_is_host(const char *text);
/* For a field whose behaviour is not there yet: UNIMPLEMENTED, unless something is wrong as well.
 */
void cp_refuse_for_now(struct gw_error *err, const char *field);

#endif
