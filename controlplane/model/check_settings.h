/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the gateway's settings are right by themselves. Pure. */
#ifndef CP_MODEL_CHECK_SETTINGS_H
#define CP_MODEL_CHECK_SETTINGS_H

#include "common/error.h"
#include "controlplane/model/types.h"

#define CP_SETTINGS_NAME "settings"
#define CP_SETTINGS_GZIP_LEVEL_DEFAULT 6

/* -1 with all that is wrong; UNIMPLEMENTED: the field of what agents do not do yet. */
GW_MUST_CHECK int cp_check_settings(const cp_gateway_settings *settings, struct gw_error *err);
/* Makes defaults explicit. */
void cp_fill_settings(cp_gateway_settings *settings);
/* Milliseconds, rounded up; 0: not set. Well-formed. */
int64_t cp_settings_ms(const cp_duration *duration);

#endif
