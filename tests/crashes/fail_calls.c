/* Preloaded into a process: counts the calls that write below one folder, and lets the nth of them fail.

   fail_calls_arm(folder, nth, error, then) starts counting at 0 (nth 0: none fails); fail_calls_count() stops
   and gives the count. error: an errno, or -1 for a write of half the bytes. then: what follows the nth call:
   0 all succeed, 1 calls that need space fail with ENOSPC, 2 every counted call fails with the error. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static volatile long count, nth;
static int failing, then, armed;
static char names[200000];

void fail_calls_arm(const char *path, long at, int error, int after) {
    snprintf(folder, sizeof folder, "%s", path);
    count = 0, nth = at, failing = error, then = after, armed = 1, names[0] = 0;
}
long fail_calls_count(void) { armed = 0; return count; }
const char *fail_calls_names(void) { return names; }

static int below(int at, const char *path) {
    char place[PATH_MAX * 2];
    if (!armed || !path) return 0;
    if (path[0] != '/') {
        char link[64], base[PATH_MAX];
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        ssize_t size = readlink(link, base, sizeof base - 1);
        if (size < 0) return 0;
        base[size] = 0;
        snprintf(place, sizeof place, "%s/%s", base, path);
    } else snprintf(place, sizeof place, "%s", path);
    return !strncmp(place, folder, strlen(folder));
}

static int of_file(int fd) {
    char link[64], path[PATH_MAX];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return below(AT_FDCWD, path);
}

/* 0: the call goes on; 1: it fails, errno is set; 2: it writes half. */
static int fails(const char *name, int needs_space) {
    long now = __sync_add_and_fetch(&count, 1);
    if (strlen(names) + strlen(name) + 2 < sizeof names) strcat(strcat(names, name), " ");
    if (!nth || now < nth) return 0;
    if (now == nth) {
        if (failing == -1 && needs_space == 2) return 2;
        errno = failing == -1 ? ENOSPC : failing;
        return failing == -1 && !needs_space ? 0 : 1;
    }
    if (then == 1 && needs_space) { errno = ENOSPC; return 1; }
    if (then == 2) { errno = failing; return 1; }
    return 0;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define WRITES(name, type, parameters, half, arguments) \
    ssize_t name parameters { REAL(name); int how = of_file(fd) ? fails(#name, 2) : 0; \
        if (how == 1) return -1; if (how == 2) return half; return real arguments; }

WRITES(write, ssize_t, (int fd, const void *from, size_t size), real(fd, from, size / 2), (fd, from, size))
WRITES(pwrite, ssize_t, (int fd, const void *from, size_t size, off_t at), real(fd, from, size / 2, at), (fd, from, size, at))
WRITES(pwrite64, ssize_t, (int fd, const void *from, size_t size, off64_t at), real(fd, from, size / 2, at), (fd, from, size, at))
WRITES(writev, ssize_t, (int fd, const struct iovec *from, int parts), real(fd, from, parts / 2 ? parts / 2 : 1), (fd, from, parts))
WRITES(sendfile, ssize_t, (int fd, int in, off_t *at, size_t size), real(fd, in, at, size / 2), (fd, in, at, size))
WRITES(sendfile64, ssize_t, (int fd, int in, off64_t *at, size_t size), real(fd, in, at, size / 2), (fd, in, at, size))

#define CALL(name, is_ours, space, parameters, arguments) \
    int name parameters { REAL(name); if ((is_ours) && fails(#name, space)) return -1; return real arguments; }

CALL(fsync, of_file(fd), 0, (int fd), (fd))
CALL(fdatasync, of_file(fd), 0, (int fd), (fd))
CALL(ftruncate, of_file(fd), 0, (int fd, off_t size), (fd, size))
CALL(ftruncate64, of_file(fd), 0, (int fd, off64_t size), (fd, size))
CALL(rename, below(AT_FDCWD, to), 1, (const char *from, const char *to), (from, to))
CALL(renameat, below(b, to), 1, (int a, const char *from, int b, const char *to), (a, from, b, to))
CALL(link, below(AT_FDCWD, to), 1, (const char *from, const char *to), (from, to))
CALL(linkat, below(b, to), 1, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
CALL(symlink, below(AT_FDCWD, to), 1, (const char *from, const char *to), (from, to))
CALL(unlink, below(AT_FDCWD, path), 0, (const char *path), (path))
CALL(unlinkat, below(at, path), 0, (int at, const char *path, int flags), (at, path, flags))
CALL(rmdir, below(AT_FDCWD, path), 0, (const char *path), (path))
CALL(mkdir, below(AT_FDCWD, path), 1, (const char *path, mode_t mode), (path, mode))
CALL(mkdirat, below(at, path), 1, (int at, const char *path, mode_t mode), (at, path, mode))

#define WRITING(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT))
#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        if (WRITING(flags) && below(AT_FDCWD, path) && fails(#name, (flags & O_CREAT) != 0)) return -1; \
        return real(path, flags, mode); }
#define OPENS_AT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(name); va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        if (WRITING(flags) && below(at, path) && fails(#name, (flags & O_CREAT) != 0)) return -1; \
        return real(at, path, flags, mode); }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

#define OPENS_STREAM(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); if (mode[0] != 'r' && below(AT_FDCWD, path) && fails(#name, 1)) return NULL; \
        return real(path, mode); }
OPENS_STREAM(fopen)
OPENS_STREAM(fopen64)

/* The clock: SWAY_CLOCK_OFFSET seconds, read once, are added to the time of day after the first
   SWAY_CLOCK_AFTER calls, so that the clock seems to jump while a process runs. */
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    REAL(clock_gettime);
    static long offset, after = -1, calls;
    int status = real(id, now);
    if (after < 0) {
        offset = getenv("SWAY_CLOCK_OFFSET") ? atol(getenv("SWAY_CLOCK_OFFSET")) : 0;
        after = getenv("SWAY_CLOCK_AFTER") ? atol(getenv("SWAY_CLOCK_AFTER")) : 0;
    }
    if (id == CLOCK_REALTIME && offset && ++calls > after) now->tv_sec += offset;
    return status;
}
