/* SPDX-License-Identifier: Apache-2.0 */
/* accept4 for the gRPC core, in the place of libc's: a symbol of the program comes first for its
 * libraries, too. The core of Debian 12 gives up its listener, for good and without a word to us,
 * at the first error that it does not know: when the process has no descriptor left, or when a
 * caller is gone before it is accepted (grpc/grpc#20418, #29308; mended later). So whoever opens
 * enough connections would shut everybody out until a restart. Here what cannot be taken is turned
 * away, and the core hears of EAGAIN alone. */
#include "common/log.h"
#include "common/rpc/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int ceiling = INT_MAX; /* from this number on descriptors are not for connections */
static _Atomic uint64_t refused;

void gw_rpc_leave_descriptors(unsigned count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        return;
    rlim_t left = GW_MIN((rlim_t)count, limit.rlim_cur / 2);
    atomic_store(&ceiling, (int)(limit.rlim_cur - left));
}

uint64_t gw_rpc_connections_refused(void)
{
    return atomic_load(&refused);
}

static void tell(void)
{
    static struct gw_log_limit limit;
    unsigned dropped = 0;
    if (gw_log_allow(&limit, 1, &dropped))
        gw_log(GW_LOG_WARN, "grpc", "connections are refused: there are too few file descriptors",
               gw_kv_int("dropped", dropped));
}

/* Of the process, or the system. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Of the listener, or of nobody. All others are about the one connection (accept(2)). */
static bool is_for_the_core(int error)
{
    return error == EAGAIN || error == EINTR || error == EBADF || error == EINVAL ||
           error == ENOTSOCK || error == EOPNOTSUPP || error == EFAULT;
}

/* What waits while there is a shortage is accepted with the next one that comes. */
int accept4(int listener, __SOCKADDR_ARG address, socklen_t *len, int flags)
{
    socklen_t room = len ? *len : 0;
    for (;;) {
        int fd = (int)syscall(SYS_accept4, listener, address.__sockaddr__, len, flags);
        if (fd >= 0 && fd < atomic_load(&ceiling))
            return fd;
        if (fd >= 0) {
            close(fd);
            atomic_fetch_add(&refused, 1);
            tell();
        } else if (is_shortage(errno)) {
            tell();
            errno = EAGAIN;
            return -1;
        } else if (is_for_the_core(errno)) {
            return -1;
        }
        if (len)
            *len = room;
    }
}
