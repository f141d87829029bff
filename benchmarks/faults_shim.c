/* Counts the calls by which a process reads and writes under one folder, and at one of them lets something go wrong.
 *
 * Preloaded into a process (LD_PRELOAD, Linux), it does nothing until `faults_arm` is called. Calls of the C library
 * are seen whoever makes them (Python, numpy, compiled extensions); what the C library does within itself (`fwrite`)
 * and bare system calls are not. `faults_clock` puts another time of day in place of the real one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, CREATE = 4, REMOVE = 8, SYNC = 16, MAP = 32, PLACE = 64 };
enum { NOTHING, FAIL, SHORT, TORN, SIGNAL };
enum { DESCRIPTORS = 65536, WHOLE = 0, PART = -1 };

static char folder[4096];
static int action, detail;
static long target, again, lasting;
static unsigned heeded;
static atomic_long seen, fired;
static atomic_llong written;
static char watched[DESCRIPTORS];
static double clock_start, clock_step;
static atomic_long clock_calls;
static int clock_is_set;

/* Let call `number` of those of these kinds go wrong: fail with an errno or be cut short, or send a signal before it.
 * `second`: call at which the signal comes again; `stays`: every later call fails too. */
void faults_arm(const char *under, int what, int with, long number, unsigned kinds, long second, int stays) {
    snprintf(folder, sizeof folder, "%s", under);
    action = what, detail = with, target = number, heeded = kinds, again = second, lasting = stays;
    atomic_store(&seen, 0), atomic_store(&fired, 0), atomic_store(&written, 0);
}

long faults_seen(void) { return atomic_load(&seen); }
long faults_fired(void) { return atomic_load(&fired); }
long long faults_written(void) { return atomic_load(&written); }

/* Let the time of day begin at `start` and go on by `step` seconds at every look. */
void faults_clock(double start, double step) { clock_start = start, clock_step = step, clock_is_set = 1; }

static void send_signal(void) {
    kill(getpid(), detail);
    while (detail == SIGKILL) pause();
}

/* Count a call; return WHOLE to make it, PART to make half of it, or the errno with which it fails. */
static int struck(unsigned kind) {
    if (!folder[0] || !(heeded & kind)) return WHOLE;
    long number = atomic_fetch_add(&seen, 1) + 1;
    if (action == SIGNAL && again && number == again) send_signal();
    if (number != target && !(lasting && target && number > target)) return WHOLE;
    atomic_fetch_add(&fired, 1);
    if (action == FAIL) return detail;
    if (action == SHORT || (action == TORN && kind == WRITE)) return PART;
    if (action == TORN) detail = SIGKILL;
    if (action == SIGNAL || action == TORN) send_signal();
    return WHOLE;
}

/* After half of a write: the end, if it is to come in its midst. */
static void torn(void) {
    if (action == TORN) detail = SIGKILL, send_signal();
}

static int is_under(int at, const char *path) {
    char place[8192];
    if (!folder[0] || !path) return 0;
    if (path[0] != '/') {
        char link[64];
        if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, place, 4096);
        if (length <= 0) return 0;
        snprintf(place + length, sizeof place - length, "/%.3900s", path);
        path = place;
    }
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int is_watched(int file) { return file >= 0 && file < DESCRIPTORS && watched[file]; }

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define STRIKE(kind, condition) \
    int fault = (condition) ? struck(kind) : WHOLE; \
    if (fault > 0) return errno = fault, -1

static int opened(int file, int under) {
    if (file >= 0 && file < DESCRIPTORS) watched[file] = under;
    return file;
}

static unsigned kind_of(int flags) { return flags & (O_CREAT | O_WRONLY | O_RDWR) ? CREATE : READ; }

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags) \
        int under = is_under(AT_FDCWD, path); \
        STRIKE(kind_of(flags), under); \
        return opened(real(path, flags, mode), under); \
    }
#define OPEN_AT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags) \
        int under = is_under(at, path); \
        STRIKE(kind_of(flags), under); \
        return opened(real(at, path, flags, mode), under); \
    }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

int close(int file) {
    REAL(close);
    if (file >= 0 && file < DESCRIPTORS) watched[file] = 0;
    return real(file);
}

/* A call that moves `count` bytes; `call` makes it with a count of its own. */
#define MOVE(kind, file, count, call) \
    STRIKE(kind, is_watched(file)); \
    if (fault == PART && (count) > 1) (count) /= 2; \
    ssize_t moved = (call); \
    if (kind == WRITE && moved > 0 && is_watched(file)) atomic_fetch_add(&written, moved); \
    if (fault == PART && kind == WRITE) torn(); \
    return moved

ssize_t write(int file, const void *from, size_t count) {
    REAL(write);
    MOVE(WRITE, file, count, real(file, from, count));
}
ssize_t read(int file, void *into, size_t count) {
    REAL(read);
    MOVE(READ, file, count, real(file, into, count));
}
#define POSITIONAL(type, write_name, read_name) \
    ssize_t write_name(int file, const void *from, size_t count, type position) { \
        REAL(write_name); \
        MOVE(WRITE, file, count, real(file, from, count, position)); \
    } \
    ssize_t read_name(int file, void *into, size_t count, type position) { \
        REAL(read_name); \
        MOVE(READ, file, count, real(file, into, count, position)); \
    }
POSITIONAL(off_t, pwrite, pread)
POSITIONAL(off64_t, pwrite64, pread64)

/* Of several buffers, half of them, or half of the only one. */
#define HALVED(from, count) \
    struct iovec first = count ? from[0] : (struct iovec){0}; \
    const struct iovec *vectors = from; \
    size_t number = count; \
    if (number == 1 && first.iov_len > 1) first.iov_len /= 2; \
    if (number == 1) vectors = &first
#define VECTORS(kind, file, from, count, call) \
    HALVED(from, count); \
    size_t some = number > 1 ? number / 2 : number; \
    STRIKE(kind, is_watched(file)); \
    if (fault == WHOLE) vectors = from, some = count; \
    ssize_t moved = (call); \
    if (kind == WRITE && moved > 0 && is_watched(file)) atomic_fetch_add(&written, moved); \
    if (fault == PART && kind == WRITE) torn(); \
    return moved

ssize_t writev(int file, const struct iovec *from, int count) {
    REAL(writev);
    VECTORS(WRITE, file, from, count, real(file, vectors, some));
}
ssize_t readv(int file, const struct iovec *from, int count) {
    REAL(readv);
    VECTORS(READ, file, from, count, real(file, vectors, some));
}
#define POSITIONAL_VECTORS(type, write_name, read_name) \
    ssize_t write_name(int file, const struct iovec *from, int count, type position) { \
        REAL(write_name); \
        VECTORS(WRITE, file, from, count, real(file, vectors, some, position)); \
    } \
    ssize_t read_name(int file, const struct iovec *from, int count, type position) { \
        REAL(read_name); \
        VECTORS(READ, file, from, count, real(file, vectors, some, position)); \
    }
POSITIONAL_VECTORS(off_t, pwritev, preadv)
POSITIONAL_VECTORS(off64_t, pwritev64, preadv64)
#define FLAGGED_VECTORS(type, write_name, read_name) \
    ssize_t write_name(int file, const struct iovec *from, int count, type position, int flags) { \
        REAL(write_name); \
        VECTORS(WRITE, file, from, count, real(file, vectors, some, position, flags)); \
    } \
    ssize_t read_name(int file, const struct iovec *from, int count, type position, int flags) { \
        REAL(read_name); \
        VECTORS(READ, file, from, count, real(file, vectors, some, position, flags)); \
    }
FLAGGED_VECTORS(off_t, pwritev2, preadv2)
FLAGGED_VECTORS(off64_t, pwritev64v2, preadv64v2)

ssize_t sendfile(int to, int from, off_t *position, size_t count) {
    REAL(sendfile);
    MOVE(WRITE, to, count, real(to, from, position, count));
}
ssize_t sendfile64(int to, int from, off64_t *position, size_t count) {
    REAL(sendfile64);
    MOVE(WRITE, to, count, real(to, from, position, count));
}
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *place, size_t count, unsigned flags) {
    REAL(copy_file_range);
    MOVE(WRITE, to, count, real(from, at, to, place, count, flags));
}

#define ON_FILE(kind, name, parameters, arguments) \
    int name parameters { \
        REAL(name); \
        STRIKE(kind, is_watched(file)); \
        int outcome = real arguments; \
        if (fault == PART) torn(); \
        return outcome; \
    }
ON_FILE(WRITE, ftruncate, (int file, off_t size), (file, size))
ON_FILE(WRITE, ftruncate64, (int file, off64_t size), (file, size))
ON_FILE(WRITE, fallocate, (int file, int mode, off_t start, off_t size), (file, mode, start, size))
ON_FILE(WRITE, fallocate64, (int file, int mode, off64_t start, off64_t size), (file, mode, start, size))
ON_FILE(SYNC, fsync, (int file), (file))
ON_FILE(SYNC, fdatasync, (int file), (file))

#define ON_PATH(kind, name, parameters, at, path, arguments) \
    int name parameters { \
        REAL(name); \
        STRIKE(kind, is_under(at, path)); \
        return real arguments; \
    }
ON_PATH(CREATE, mkdir, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))
ON_PATH(CREATE, mkdirat, (int at, const char *path, mode_t mode), at, path, (at, path, mode))
ON_PATH(CREATE, symlink, (const char *from, const char *path), AT_FDCWD, path, (from, path))
ON_PATH(REMOVE, unlink, (const char *path), AT_FDCWD, path, (path))
ON_PATH(REMOVE, unlinkat, (int at, const char *path, int flags), at, path, (at, path, flags))
ON_PATH(REMOVE, rmdir, (const char *path), AT_FDCWD, path, (path))
ON_PATH(WRITE, truncate, (const char *path, off_t size), AT_FDCWD, path, (path, size))
ON_PATH(PLACE, rename, (const char *from, const char *path), AT_FDCWD, path, (from, path))
ON_PATH(PLACE, link, (const char *from, const char *path), AT_FDCWD, path, (from, path))
ON_PATH(PLACE, renameat, (int from_at, const char *from, int at, const char *path), at, path, (from_at, from, at, path))
ON_PATH(PLACE, renameat2, (int from_at, const char *from, int at, const char *path, unsigned flags), at, path,
        (from_at, from, at, path, flags))
ON_PATH(PLACE, linkat, (int from_at, const char *from, int at, const char *path, int flags), at, path,
        (from_at, from, at, path, flags))

#define MAPPED(name, type) \
    void *name(void *place, size_t size, int protection, int flags, int file, type position) { \
        REAL(name); \
        if (is_watched(file)) struck(MAP); \
        return real(place, size, protection, flags, file, position); \
    }
MAPPED(mmap, off_t)
MAPPED(mmap64, off64_t)

static double pretended(void) { return clock_start + clock_step * atomic_fetch_add(&clock_calls, 1); }

int clock_gettime(clockid_t which, struct timespec *found) {
    REAL(clock_gettime);
    if (!clock_is_set || which != CLOCK_REALTIME) return real(which, found);
    double now = pretended();
    found->tv_sec = (time_t)now, found->tv_nsec = (long)((now - (time_t)now) * 1e9);
    return 0;
}
time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec, found->tv_usec = now.tv_nsec / 1000;
    return 0;
}
