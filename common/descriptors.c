/* SPDX-License-Identifier: Apache-2.0 */
#include "common/descriptors.h"

#include "common/log.h"

#include <sys/resource.h>

uint64_t gw_raise_descriptors(const char *component, uint64_t needed, const char *option)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return UINT64_MAX; /* nobody knows */
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* then the lower one stays */
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < needed)
        gw_log(GW_LOG_WARN, component, "fewer file descriptors than an option may need",
               gw_kv_text("option", option), gw_kv_int("descriptors", (int64_t)limit.rlim_cur),
               gw_kv_int("needed", (int64_t)needed));
    return limit.rlim_cur;
}
