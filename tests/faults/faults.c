/* SPDX-License-Identifier: MIT */
/*
 * faults: a library to preload that runs a program again and again, and each time lets one
 * more of its system or library calls fail: the 1st, the 2nd, ... until a run meets no
 * failure.  (The method is SQLite's.)  The runs are forks made just before main, so that a
 * point costs what the program's own work costs.
 *
 *   LD_PRELOAD=faults.so FAULT_CALL=malloc FAULT_DIR=work FAULT_STATUS=70 tok -m M x.tsv
 *
 *   FAULT_CALL    malloc (with calloc, realloc, ...), read, write, open, fsync, rename (with
 *                 link), mkdir, close
 *   FAULT_ERRNO   what the call says [ENOMEM, ENOSPC or EIO, as fits]
 *   FAULT_HOW     once: that call alone [the default]; on: that one and all later ones;
 *                 short: every read and write does one byte or half, nothing fails;
 *                 eintr: every second read and write is interrupted, nothing fails;
 *                 kill: the process is killed there with SIGKILL; term: with SIGTERM
 *   FAULT_DIR     where the program runs; emptied after each run
 *   FAULT_STATUS  the exit statuses that are right, as 73,74
 *   FAULT_POINTS  all points up to so many, from there on as many again, evenly [200]
 *   FAULT_FROM    the first point [1]
 *   FAULT_STDIN   a file that is the program's standard input
 *   FAULT_CHECK   a shell command run after each run, in FAULT_DIR, $1 the status, $2 the
 *                 number of the call
 *   FAULT_KEEP=1  files in FAULT_DIR after a failure are FAULT_CHECK's business
 *
 * Wrong are: death by another signal, another status, silence, a file left in FAULT_DIR,
 * success with other standard output or fewer files than the run without faults, success after
 * a write or sync that failed.  Each is printed; the last line is `N points, N wrong`, and the
 * exit status is 1 when any was wrong.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum call { NO_CALL, CALL_MALLOC, CALL_READ, CALL_WRITE, CALL_OPEN, CALL_FSYNC, CALL_RENAME,
            CALL_MKDIR, CALL_CLOSE, N_CALLS };
enum how { HOW_ONCE, HOW_ON, HOW_SHORT, HOW_EINTR, HOW_KILL, HOW_TERM, N_HOWS };

static const char *const call_names[N_CALLS] = {"", "malloc", "read", "write", "open", "fsync",
                                                "rename", "mkdir", "close"};
static const char *const how_names[N_HOWS] = {"once", "on", "short", "eintr", "kill", "term"};

static enum call chosen;
static enum how how;
static int say_errno;
static bool armed;  /* in a child that runs the program */
static bool gentle; /* nothing fails, but much is short or interrupted */
static unsigned long fail_at;
static atomic_ulong *calls; /* shared with the parent: calls that a child has made */

/* ---- the calls ---- */

/* Whether this one fails. */
static bool fails(enum call c)
{
    unsigned long n;

    if (!armed || c != chosen)
        return false;
    n = atomic_fetch_add(calls, 1) + 1;
    if (gentle || n < fail_at || fail_at == 0 || (n > fail_at && how != HOW_ON))
        return false;
    if (how == HOW_KILL || how == HOW_TERM) {
        syscall(SYS_kill, getpid(), how == HOW_KILL ? SIGKILL : SIGTERM);
        return false;
    }
    errno = say_errno;
    return true;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

/* Where the code of libraries lies that have their own ways when memory runs out. */
struct code {
    const char *name;
    uintptr_t from, to;
};
static struct code jansson = {.name = "libjansson"}, dnnl = {.name = "libdnnl"},
                   cxx = {.name = "libstdc++"}, gomp = {.name = "libgomp"};

static int find_code(struct dl_phdr_info *i, size_t size, void *context)
{
    struct code *c = context;

    (void)size;
    if (!strstr(i->dlpi_name, c->name))
        return 0;
    for (int k = 0; k < i->dlpi_phnum; k++) {
        const uintptr_t at = i->dlpi_addr + i->dlpi_phdr[k].p_vaddr;

        if (i->dlpi_phdr[k].p_type == PT_LOAD && i->dlpi_phdr[k].p_flags & PF_X) {
            c->from = at;
            c->to = at + i->dlpi_phdr[k].p_memsz;
        }
    }
    return 1;
}

static bool within(const struct code *c, const void *caller)
{
    return (uintptr_t)caller >= c->from && (uintptr_t)caller < c->to;
}

/*
 * jansson's lexer (2.14) does not notice that its buffer did not grow, and writes behind it:
 * its requests for a power of two, which that buffer makes, are spared.  oneDNN, which makes
 * tens of thousands of requests, throws, or follows a null pointer, and libgomp ends with 1:
 * spared altogether.
 */
static bool spared(const void *caller, size_t n)
{
    return (within(&jansson, caller) && n >= 32 && (n & (n - 1)) == 0) ||
           within(&dnnl, caller) || within(&cxx, caller) || within(&gomp, caller);
}

static bool asked(const void *caller, size_t n)
{
    return chosen == CALL_MALLOC && !spared(caller, n) && fails(CALL_MALLOC);
}

void *malloc(size_t n)
{
    return asked(__builtin_return_address(0), n) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return asked(__builtin_return_address(0), n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return asked(__builtin_return_address(0), n) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return asked(__builtin_return_address(0), n) ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    void *got = asked(__builtin_return_address(0), n) ? NULL : __libc_memalign(align, n);

    if (!got)
        return ENOMEM;
    *p = got;
    return 0;
}

/* Every second read or write is interrupted, or does less than was asked for. */
static bool interrupted(enum call c, size_t *n)
{
    static atomic_uint count;
    const unsigned k = atomic_fetch_add(&count, 1);

    if (!gentle || !armed || c != chosen)
        return false;
    if (how == HOW_EINTR && k % 2 == 0) {
        errno = EINTR;
        return true;
    }
    if (how == HOW_SHORT && *n > 1)
        *n = k % 2 ? 1 : *n / 2;
    return false;
}

ssize_t read(int fd, void *data, size_t n)
{
    if (fails(CALL_READ) || interrupted(CALL_READ, &n))
        return -1;
    return syscall(SYS_read, fd, data, n);
}

ssize_t __read_chk(int fd, void *data, size_t n, size_t room);
ssize_t __read_chk(int fd, void *data, size_t n, size_t room)
{
    if (n > room)
        abort();
    return read(fd, data, n);
}

ssize_t pread(int fd, void *data, size_t n, off_t at)
{
    if (fails(CALL_READ) || interrupted(CALL_READ, &n))
        return -1;
    return syscall(SYS_pread64, fd, data, n, at);
}

/* Messages are let through: what is tested is what they say. */
ssize_t write(int fd, const void *data, size_t n)
{
    if (fd != STDERR_FILENO && (fails(CALL_WRITE) || interrupted(CALL_WRITE, &n)))
        return -1;
    return syscall(SYS_write, fd, data, n);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = (mode_t)va_arg(args, int);
    va_end(args);
    return fails(CALL_OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int fsync(int fd)
{
    return fails(CALL_FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int close(int fd)
{
    const bool bad = fd > STDERR_FILENO && fails(CALL_CLOSE);
    const int saved = errno, rc = (int)syscall(SYS_close, fd);

    if (bad)
        errno = saved;
    return bad ? -1 : rc;
}

int rename(const char *from, const char *to)
{
    return fails(CALL_RENAME) ? -1
                              : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    return fails(CALL_RENAME) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, flags);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    return fails(CALL_RENAME) ? -1 : (int)syscall(SYS_linkat, a, from, b, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(CALL_MKDIR) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

/* ---- the parent ---- */

typedef int main_function(int argc, char **argv, char **env);

struct sweep {
    main_function *program;
    int argc;
    char **argv, **env;
    const char *dir, *input, *check;
    char out[4096], err[4096]; /* the child's standard output and error */
    char *good;                /* what it prints without faults */
    size_t n_good;
    unsigned n_files;          /* and how many files it makes */
    bool keep;
    unsigned long points, wrong;
};

static void die(const char *what)
{
    perror(what);
    _exit(3);
}

static void redirect(int fd, const char *path, int flags)
{
    const int from = open(path, flags, 0600);

    if (from < 0 || dup2(from, fd) < 0)
        die(path);
    close(from);
}

/* Runs the program with call number n failing; returns what waitpid says. */
static int run(struct sweep *s, unsigned long n)
{
    pid_t child;
    int status;

    fflush(NULL);
    atomic_store(calls, 0);
    child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        redirect(STDIN_FILENO, s->input ? s->input : "/dev/null", O_RDONLY);
        redirect(STDOUT_FILENO, s->out, O_WRONLY | O_CREAT | O_TRUNC);
        redirect(STDERR_FILENO, s->err, O_WRONLY | O_CREAT | O_TRUNC);
        alarm(30); /* a hang is a death too */
        fail_at = n;
        armed = true;
        exit(s->program(s->argc, s->argv, s->env));
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    return status;
}

static char *slurp(const char *path, size_t *n)
{
    struct stat st;
    const int fd = open(path, O_RDONLY);
    char *data;

    if (fd < 0 || fstat(fd, &st) != 0)
        die(path);
    data = malloc((size_t)st.st_size + 1);
    if (!data || read(fd, data, (size_t)st.st_size) != st.st_size)
        die(path);
    close(fd);
    *n = (size_t)st.st_size;
    data[*n] = '\0';
    return data;
}

static void complain(struct sweep *s, unsigned long n, const char *format, ...)
{
    va_list args;
    size_t len;
    char *said = slurp(s->err, &len);

    s->wrong++;
    printf("%s %lu: ", call_names[chosen], n);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("; said: %s\n", len > 0 ? said : "nothing");
    free(said);
}

static bool is_right(int status)
{
    const char *list = getenv("FAULT_STATUS");

    while (list && *list) {
        char *end;

        if (strtol(list, &end, 10) == status)
            return true;
        list = *end == ',' ? end + 1 : NULL;
    }
    return false;
}

static char left_over[200]; /* the last thing found in FAULT_DIR */
static unsigned found;      /* things found there */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    if (at->level == 0)
        return 0;
    found++;
    snprintf(left_over, sizeof left_over, "%s", path);
    return remove(path);
}

static void empty_dir(struct sweep *s)
{
    found = 0;
    nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void judge(struct sweep *s, unsigned long n, int status)
{
    const bool killed = WIFSIGNALED(status) &&
                        WTERMSIG(status) == (how == HOW_KILL   ? SIGKILL
                                             : how == HOW_TERM ? SIGTERM
                                                               : 0);
    const bool killed_there = how == HOW_KILL || how == HOW_TERM;
    struct stat st;
    char command[8192];

    if (WIFSIGNALED(status) && !killed) {
        complain(s, n, "signal %d", WTERMSIG(status));
    } else if (!killed && WEXITSTATUS(status) == 0) {
        size_t len;
        char *data = slurp(s->out, &len);

        if (len != s->n_good || memcmp(data, s->good, len) != 0)
            complain(s, n, "status 0, but other output");
        else if (!gentle && !killed_there &&
                 (chosen == CALL_WRITE || chosen == CALL_FSYNC))
            complain(s, n, "status 0, as if nothing had happened");
        free(data);
    } else if (!killed && !is_right(WEXITSTATUS(status))) {
        complain(s, n, "status %d", WEXITSTATUS(status));
    } else if (!killed && (stat(s->err, &st) != 0 || st.st_size == 0)) {
        complain(s, n, "status %d", WEXITSTATUS(status));
    }
    if (s->check) {
        snprintf(command, sizeof command, "set -- %d %lu; cd '%s' && { %s\n}",
                 WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), n, s->dir,
                 s->check);
        if (system(command) != 0)
            complain(s, n, "status %d, and the check failed", WEXITSTATUS(status));
    }
    empty_dir(s);
    if (found > 0 && status != 0 && !s->keep)
        complain(s, n, "status %d, left behind: %s", WEXITSTATUS(status), left_over);
    if (found != s->n_files && status == 0 && !s->keep)
        complain(s, n, "status 0, but %u files, not %u", found, s->n_files);
}

/* Makes n = 1, 2, ... fail; all of them up to `dense`, then as many again, evenly. */
static void step_through(struct sweep *s)
{
    const char *text = getenv("FAULT_POINTS");
    const unsigned long dense = text ? strtoul(text, NULL, 10) : 200;
    const unsigned long total = atomic_load(calls);
    const char *from = getenv("FAULT_FROM");
    const unsigned long first = from ? strtoul(from, NULL, 10) : 1;
    const unsigned long step = total > 2 * dense ? (total - dense) / dense : 1;

    for (unsigned long n = first; n <= total; n += n < dense ? 1 : step) {
        const int status = run(s, n);

        if (atomic_load(calls) < n)
            break;
        s->points++;
        judge(s, n, status);
    }
}

static int word_of(const char *name, const char *const *words, int n, int other)
{
    const char *text = getenv(name);

    for (int i = 0; text && i < n; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    if (text) {
        fprintf(stderr, "faults: %s: no '%s'\n", name, text);
        _exit(3);
    }
    return other;
}

static int default_errno(void)
{
    const char *text = getenv("FAULT_ERRNO");

    return text                     ? atoi(text)
           : chosen == CALL_MALLOC ? ENOMEM
           : chosen == CALL_WRITE  ? ENOSPC
                                   : EIO;
}

static main_function *program;

/* Takes the place of main. */
static int sweep(int argc, char **argv, char **env)
{
    struct sweep s = {.program = program, .argc = argc, .argv = argv, .env = env,
                      .dir = getenv("FAULT_DIR"), .input = getenv("FAULT_STDIN"),
                      .check = getenv("FAULT_CHECK"), .keep = getenv("FAULT_KEEP") != NULL};
    const enum call wanted = (enum call)word_of("FAULT_CALL", call_names, N_CALLS, NO_CALL);
    int status;

    if (wanted == NO_CALL)
        return program(argc, argv, env);
    how = (enum how)word_of("FAULT_HOW", how_names, N_HOWS, HOW_ONCE);
    unsetenv("LD_PRELOAD");
    dl_iterate_phdr(find_code, &jansson);
    dl_iterate_phdr(find_code, &dnnl);
    dl_iterate_phdr(find_code, &cxx);
    dl_iterate_phdr(find_code, &gomp);
    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (calls == MAP_FAILED || !s.dir || chdir(s.dir) != 0)
        die("FAULT_DIR");
    snprintf(s.out, sizeof s.out, "%s.out", s.dir);
    snprintf(s.err, sizeof s.err, "%s.err", s.dir);
    chosen = wanted;
    say_errno = default_errno();
    status = run(&s, 0);
    s.good = slurp(s.out, &s.n_good);
    if (status != 0) {
        complain(&s, 0, "status %d without any fault", WEXITSTATUS(status));
    }
    empty_dir(&s);
    s.n_files = found;
    if (how == HOW_SHORT || how == HOW_EINTR) {
        gentle = true;
        s.points = 1;
        status = run(&s, 1);
        s.wrong += atomic_load(calls) == 0;
        judge(&s, 1, status);
    } else if (status == 0) {
        step_through(&s);
    }
    printf("%lu points, %lu wrong\n", s.points, s.wrong);
    return s.points == 0 || s.wrong > 0;
}

typedef int start_function(main_function *main_, int argc, char **argv, void (*init)(void),
                           void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
start_function __libc_start_main;

/* The loader's constructors have run by now: what fails is the program's own. */
int __libc_start_main(main_function *main_, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start_function *real;
    void *symbol = dlsym(RTLD_NEXT, "__libc_start_main");

    memcpy(&real, &symbol, sizeof real);
    program = main_;
    return real(sweep, argc, argv, init, fini, rtld_fini, stack_end);
}
