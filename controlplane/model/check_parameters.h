/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of an API: what callers may send, and what the backend gets. The rules of their
 * definition; a publish of an API that has any is refused until agents enforce them. Pure. */
#ifndef CP_MODEL_CHECK_PARAMETERS_H
#define CP_MODEL_CHECK_PARAMETERS_H

#include "common/error.h"
#include "controlplane/model/types.h"

#define CP_API_PARAMETERS_MAX 50   /* of the request, and of the backend */
#define CP_PARAMETER_VALUE_MAX 255 /* bytes of a default, a constant, one allowed value */
#define CP_PARAMETER_ENUMERATIONS_MAX 256
#define CP_PARAMETER_ENUMERATIONS_BYTES_MAX 4096 /* of one parameter's, together */

/* All that is wrong, as violations of "request_parameters[2].name" and so on. The API's frontend
 * and backend may be missing or wrong themselves. */
void cp_check_parameters(const cp_api *api, struct gw_error *err);
/* What goes without saying: a part of the path is always required. */
void cp_fill_parameters(cp_api *api);
/* A finite decimal number, as JSON writes them. */
bool cp_is_number(gw_str text);
/* "x-stage", "x-apig-..." and "x-sdk-...": the gateway's own, in any case. */
bool cp_is_reserved_parameter(gw_str name);

#endif
