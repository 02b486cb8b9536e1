/* SPDX-License-Identifier: Apache-2.0 */
/* PublishApis and UnpublishApis: one transaction for each API, one wait for all of them. */
#ifndef CP_SERVICE_BULK_H
#define CP_SERVICE_BULK_H

#include "controlplane/rpc/method.h"

#define CP_BULK_MAX 1000 /* APIs of one call */

cp_handler cp_publish_apis;
cp_handler cp_unpublish_apis;

#endif
