/* SPDX-License-Identifier: Apache-2.0 */
/* OpenApiService: openapi_import.c makes drafts of documents, openapi_export.c documents of APIs.
 */
#ifndef CP_SERVICE_OPENAPI_H
#define CP_SERVICE_OPENAPI_H

#include "controlplane/rpc/method.h"

cp_handler cp_import_openapi, cp_export_openapi;

#endif
