/* SPDX-License-Identifier: Apache-2.0 */
/* From socket to socket through a pipe: the pages move, nothing is copied. The loop has one pipe,
 * which is empty between two calls: what the receiver's socket has no room for is copied out of it.
 */
#include "dataplane/net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* BBR does, and arms a timer for what is behind the first segment that the kernel makes of a call
 * (64 KB at most). The timer and its interrupt may cost as much as the whole answer; a second call
 * costs less. */
static bool is_paced(int fd)
{
    char algorithm[16] = ""; /* TCP_CA_NAME_MAX */
    socklen_t len = sizeof algorithm;
    return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, &len) == 0 &&
           memcmp(algorithm, "bbr", 3) == 0;
}

/* out: one of the sockets that it leads to. */
static bool has_pipe(struct dp_loop *loop, const struct dp_conn *out)
{
    if (loop->pipe[0] >= 0)
        return true;
    loop->is_paced = is_paced(out->fd);
    if (pipe2(loop->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
        loop->pipe[0] = loop->pipe[1] = -1;
        return false;
    }
    (void)fcntl(loop->pipe[1], F_SETPIPE_SZ, DP_SPLICE_BYTES); /* a smaller one does as well */
    return true;
}

static bool is_ready(const struct dp_conn *out)
{
    return !out->tls && out->fd >= 0 && !out->error && !out->connecting && !out->blocked;
}

/* Nobody gets what is in the pipe. */
static void fail(struct dp_conn *out, int error)
{
    dp_loop_close_pipe(out->loop);
    out->error = error;
    dp_loop_flush_later(out->loop, &out->flush);
}

static void queue_rest(struct dp_conn *out, size_t left)
{
    struct dp_block *block = dp_block_take(&out->loop->blocks, left);
    ssize_t n = read(out->loop->pipe[0], block->data, left);
    if (n == (ssize_t)left)
        dp_conn_queue(out, gw_str_n(block->data, left));
    else
        fail(out, -EIO);
    dp_block_give(&out->loop->blocks, block);
}

static void empty_into(struct dp_conn *out, size_t left)
{
    const int *pipe = out->loop->pipe;
    while (left > 0) {
        ssize_t n = splice(pipe[0], NULL, out->fd, NULL, left, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
            left -= (size_t)n;
        } else if (n == 0 || errno == EAGAIN || errno == EINTR) {
            queue_rest(out, left);
            return;
        } else {
            fail(out, -errno);
            return;
        }
    }
}

/* The byte that says that there is more behind: nobody gets it. */
static void drop_byte(struct dp_loop *loop)
{
    char byte;
    if (loop->pipe[0] >= 0 && read(loop->pipe[0], &byte, 1) != 1)
        dp_loop_close_pipe(loop);
}

ptrdiff_t dp_conn_splice(struct dp_conn *conn, struct dp_sink *sink, uint64_t most, bool is_end)
{
    struct dp_conn *out = sink->conn;
    if (conn->tls || !is_ready(out) || !has_pipe(conn->loop, out))
        return -EOPNOTSUPP;
    bool in_two = conn->loop->is_paced && most <= (uint64_t)2 * DP_SPLICE_PACED_BYTES;
    uint64_t piece = in_two ? DP_SPLICE_PACED_BYTES : DP_SPLICE_BYTES;
    size_t bytes = (size_t)GW_MIN(most + is_end, piece);
    ssize_t n =
        splice(conn->fd, NULL, conn->loop->pipe[1], NULL, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && (errno == EINVAL || errno == EINTR))
        return errno == EINVAL ? -EOPNOTSUPP : -EAGAIN;
    if (n <= 0)
        return n < 0 ? -errno : 0;
    size_t passed = (size_t)GW_MIN((uint64_t)n, most);
    sink->bytes += passed;
    conn->loop->spliced_bytes += passed;
    if (dp_conn_push_first(out)) /* a head leaves in one segment with what follows */
        empty_into(out, passed);
    else
        queue_rest(out, passed);
    if ((size_t)n > passed)
        drop_byte(conn->loop);
    return n;
}
