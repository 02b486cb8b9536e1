/* SPDX-License-Identifier: Apache-2.0 */
/* ApiService.DebugApi. */
#ifndef CP_SERVICE_DEBUG_H
#define CP_SERVICE_DEBUG_H

#include "controlplane/rpc/method.h"

cp_handler cp_debug_api;

#endif
