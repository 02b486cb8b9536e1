/* SPDX-License-Identifier: Apache-2.0 */
/* process_*: the names and meanings that Prometheus clients agree on, read from /proc. And what
 * both planes count of themselves. */
#include "common/log.h"
#include "common/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Field numbers of /proc/self/stat as proc(5) counts them. */
#define STAT_THREADS 20
#define STAT_START_TICKS 22
#define STAT_RSS_PAGES 24

static void put(struct gw_buf *out, const char *name, enum gw_metric_type type, const char *help,
                double value)
{
    gw_metrics_write_head(out, name, type, help);
    int rc = gw_buf_printf(out, "%s %.15g\n", name, value);
    assert(rc == 0); /* no limit */
    (void)rc;
}

static bool read_file(const char *path, char *ret_text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(ret_text, 1, size - 1, file);
    ret_text[len] = 0;
    fclose(file);
    return len > 0;
}

/* The number in field `wanted` of a stat line. The name in field 2 may hold blanks and brackets, so
 * counting starts behind its last bracket. */
static bool stat_field(const char *stat, unsigned wanted, long long *ret_value)
{
    const char *at = strrchr(stat, ')');
    for (unsigned field = 2; at && field < wanted; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at && sscanf(at, "%lld", ret_value) == 1;
}

/* When the machine started, seconds since the epoch. */
static bool boot_time(long long *ret_seconds)
{
    char line[256];
    bool found = false;
    FILE *file = fopen("/proc/stat", "re");
    while (file && !found && fgets(line, sizeof(line), file))
        found = sscanf(line, "btime %lld", ret_seconds) == 1;
    if (file)
        fclose(file);
    return found;
}

static void put_stat(struct gw_buf *out)
{
    char stat[1024];
    long long threads, start_ticks, pages, boot;
    if (!read_file("/proc/self/stat", stat, sizeof(stat)))
        return;
    if (stat_field(stat, STAT_THREADS, &threads))
        put(out, "process_threads", GW_GAUGE, "Number of operating system threads.",
            (double)threads);
    if (stat_field(stat, STAT_RSS_PAGES, &pages))
        put(out, "process_resident_memory_bytes", GW_GAUGE, "Resident memory size in bytes.",
            (double)pages * (double)sysconf(_SC_PAGESIZE));
    if (stat_field(stat, STAT_START_TICKS, &start_ticks) && boot_time(&boot))
        put(out, "process_start_time_seconds", GW_GAUGE,
            "Start time of the process since the Unix epoch in seconds.",
            (double)boot + (double)start_ticks / (double)sysconf(_SC_CLK_TCK));
}

static void put_open_fds(struct gw_buf *out)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return;
    int count = -1; /* the directory itself */
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    put(out, "process_open_fds", GW_GAUGE, "Number of open file descriptors.", count);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

void gw_metrics_write_process(struct gw_buf *out)
{
    struct rusage usage;
    struct rlimit files;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        put(out, "process_cpu_seconds_total", GW_COUNTER,
            "Total user and system CPU time spent in seconds.",
            seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    put_stat(out);
    put_open_fds(out);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put(out, "process_max_fds", GW_GAUGE, "Maximum number of open file descriptors.",
            (double)files.rlim_cur);
    put(out, "penstock_log_lost_total", GW_COUNTER,
        "Lines of the log that stderr did not take at once.", (double)gw_log_lost());
}
