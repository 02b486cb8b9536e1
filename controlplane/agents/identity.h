/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent has shown to be, by its certificate. */
#ifndef CP_AGENTS_IDENTITY_H
#define CP_AGENTS_IDENTITY_H

#include "common/clock.h"
#include "common/str.h"

/* What an agent has shown to be. Texts live as long as the arena that they were asked for with. */
struct cp_agent_identity {
    const char *name;  /* of its certificate; "local": none is asked for */
    gw_str scope;      /* what it gets (snapshot/scope.h); "": everything */
    gw_msec expiry_ms; /* wall clock: of its certificate; 0: not known */
};

#endif
