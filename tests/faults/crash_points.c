/* Counts the calls that change files below one folder, and ends the process at the k-th of them.

   Loaded before libc (LD_PRELOAD), so it sees what Python, Rust and Arrow write alike. A write may be torn: half of its
   bytes reach the file, then the process dies, as by `kill -9`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[4096];
static long count, die_at;
static int torn, log_fd = -1, armed;

/* Start counting below `folder`. `at` 0 only counts; `log` is a file descriptor that is told of each call, or -1. */
void crash_arm(const char *folder, long at, int tear, int log) {
    snprintf(root, sizeof root, "%s", folder);
    count = 0; die_at = at; torn = tear; log_fd = log; armed = 1;
}
void crash_disarm(void) { armed = 0; }
long crash_count(void) { return count; }

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

static int below(const char *path) {
    char full[4096];
    if (path[0] != '/') {
        char here[2048];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(full, sizeof full, "%s/%s", here, path);
        path = full;
    }
    return strncmp(path, root, strlen(root)) == 0;
}

/* 1 where this call is the one to die at */
static int met(const char *what, const char *path) {
    char line[8192];
    if (!armed || !below(path)) return 0;
    count++;
    if (log_fd >= 0) {
        int n = snprintf(line, sizeof line, "%s %s\n", what, path);
        syscall(SYS_write, log_fd, line, n);
    }
    return die_at && count == die_at;
}
static int met_fd(const char *what, int fd) {
    char link[64], path[4096];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return met(what, path);
}
static int met_at(const char *what, int folder, const char *name) {
    char link[64], path[8192];
    if (!armed) return 0;
    if (folder == AT_FDCWD || name[0] == '/') return met(what, name);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t n = readlink(link, path, 4095);
    if (n <= 0) return 0;
    snprintf(path + n, sizeof path - n, "/%s", name);
    return met(what, path);
}

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t n) {
    if (met_fd("write", fd)) { if (torn) syscall(SYS_write, fd, data, n / 2); die(); }
    return syscall(SYS_write, fd, data, n);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64);
    if (met_fd("write", fd)) { if (torn) real(fd, data, n / 2, at); die(); }
    return real(fd, data, n, at);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev);
    if (met_fd("write", fd)) { if (torn) real(fd, parts, n / 2); die(); }
    return real(fd, parts, n);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t n) {
    ssize_t sendfile64(int, int, off64_t *, size_t);
    REAL(sendfile64);
    if (met_fd("write", out)) { if (torn) real(out, in, at, n / 2); die(); }
    return real(out, in, at, n);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
    REAL(copy_file_range);
    if (met_fd("write", out)) { if (torn) real(in, from, out, to, n / 2, flags); die(); }
    return real(in, from, out, to, n, flags);
}
int fsync(int fd) { REAL(fsync); if (met_fd("fsync", fd)) die(); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); if (met_fd("fsync", fd)) die(); return real(fd); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); if (met_fd("truncate", fd)) die(); return real(fd, n); }
int ftruncate(int fd, off_t n) { REAL(ftruncate); if (met_fd("truncate", fd)) die(); return real(fd, n); }
int rename(const char *a, const char *b) { REAL(rename); if (met("rename", b)) die(); return real(a, b); }
int unlink(const char *a) { REAL(unlink); if (met("unlink", a)) die(); return real(a); }
int rmdir(const char *a) { REAL(rmdir); if (met("rmdir", a)) die(); return real(a); }
int mkdir(const char *a, mode_t m) { REAL(mkdir); if (met("mkdir", a)) die(); return real(a, m); }
int unlinkat(int d, const char *a, int f) { REAL(unlinkat); if (met_at("unlink", d, a)) die(); return real(d, a, f); }
