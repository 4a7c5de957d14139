/* Attaches one of the programs in forms.bpf.o by its name, and prints its events in the article's words until SIGINT.
 *
 *     load OBJECT PROGRAM
 *
 * Prints `Attached 1 probe` on standard error when it is so, and at the end
 *     events=… lost=… run_time_ns=… run_cnt=…
 * (the last two are zero unless the kernel keeps BPF statistics). What cannot be done is said on standard error; the exit
 * status is then 2. Only the maps that the program uses are created. tracefs need not be mounted.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "form.h"

#define PERF_PAGES 64               /* a CPU, as is usual with libbpf */
#define POLL_NS (10 * 1000 * 1000)  /* how often a ring that wakes nobody is looked at */

static volatile sig_atomic_t stopped;
static unsigned long events, lost;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(2);
}

static int print_event(void *context, void *data, size_t size)
{
	const struct event *e = data;
	(void)context;
	if (size < sizeof(*e))
		return 0;
	events++;
	printf("enter rt:task:task_rename %s, pid %d, oldcommn %s, newcomm %s, oom 0x%x\n",
	       e->comm, e->pid, e->old_name, e->new_name, e->oom_score_adj);
	return 0;
}

static void print_perf_event(void *context, int cpu, void *data, __u32 size)
{
	(void)cpu;
	print_event(context, data, size);
}

static void count_lost(void *context, int cpu, __u64 n)
{
	(void)context;
	(void)cpu;
	lost += n;
}

static int silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && !strcmp(text + length - end_length, end);
}

/* Whether `program` writes to `map`; the object holds the maps of all programs. */
static bool uses(const char *program, const char *map)
{
	if (!strcmp(map, "perf"))
		return ends_with(program, "_article");
	if (!strcmp(map, "ring") || !strcmp(map, "lost"))
		return ends_with(program, "_direct") || ends_with(program, "_core");
	if (!strcmp(map, "count"))
		return ends_with(program, "_count");
	if (!strcmp(map, "count_by_pid"))
		return ends_with(program, "_count_by_pid");
	return true;
}

/* The number of the tracepoint, from the mounted tracefs or else from a mount that nobody else sees (5.2 and later). */
static long tracepoint_id(void)
{
	const char *path = "events/task/task_rename/id";
	int directory = open("/sys/kernel/tracing", O_PATH | O_DIRECTORY);
	int fd = openat(directory, path, O_RDONLY);
	if (fd < 0) {
		int context = syscall(SYS_fsopen, "tracefs", 0);
		if (context < 0 || syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
			fail("tracefs", errno);
		directory = syscall(SYS_fsmount, context, 0, 0);
		fd = openat(directory, path, O_RDONLY);
	}
	char text[32] = "";
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		fail("tracefs: task_rename", errno);
	close(fd);
	return atol(text);
}

static struct bpf_link *attach(struct bpf_program *program)
{
	enum bpf_prog_type type = bpf_program__type(program);
	if (type == BPF_PROG_TYPE_KPROBE && access("/sys/bus/event_source/devices/kprobe", F_OK)) {
		fprintf(stderr, "this kernel has no kprobes\n");
		exit(2);
	}
	if (type != BPF_PROG_TYPE_TRACEPOINT)
		return bpf_program__attach(program);
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = tracepoint_id(),
		.sample_period = 1,
		.wakeup_events = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		fail("perf_event_open", errno);
	return bpf_program__attach_perf_event(program, fd);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: load OBJECT PROGRAM\n");
		return 2;
	}
	const char *name = argv[2];
	libbpf_set_print(silent);
	setvbuf(stdout, NULL, _IOFBF, 64 << 10);
	/* A write that is interrupted goes on, so that no line is lost. */
	struct sigaction on_interrupt = { .sa_handler = stop, .sa_flags = SA_RESTART };
	sigaction(SIGINT, &on_interrupt, NULL);

	struct bpf_object *object = bpf_object__open(argv[1]);
	if (!object)
		fail(argv[1], errno);
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	if (!program)
		fail(name, ENOENT);
	struct bpf_program *other;
	bpf_object__for_each_program(other, object)
		bpf_program__set_autoload(other, other == program);
	struct bpf_map *map;
	bpf_object__for_each_map(map, object)
		bpf_map__set_autocreate(map, uses(name, bpf_map__name(map)));
	int error = bpf_object__load(object);
	if (error == -EPERM)
		fail("the kernel refuses this type of program", EPERM);
	if (error)
		fail("load", -error);

	struct ring_buffer *ring = NULL;
	struct perf_buffer *perf = NULL;
	if (uses(name, "ring"))
		ring = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "ring"), print_event, NULL, NULL);
	if (uses(name, "perf"))
		perf = perf_buffer__new(bpf_object__find_map_fd_by_name(object, "perf"), PERF_PAGES, print_perf_event,
					count_lost, NULL, NULL);
	if ((uses(name, "ring") && !ring) || (uses(name, "perf") && !perf))
		fail("buffer", errno);
	struct bpf_link *link = attach(program);
	if (!link)
		fail("attach", errno);
	fprintf(stderr, "Attached 1 probe\n");

	while (!stopped) {
		if (perf) {
			perf_buffer__poll(perf, 100);
			fflush(stdout);
		} else {
			if (ring)
				ring_buffer__consume(ring);
			fflush(stdout);
			nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
		}
	}

	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size);
	bpf_link__destroy(link);
	if (ring) {
		ring_buffer__consume(ring);
		__u32 zero = 0;
		bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object, "lost"), &zero, &lost);
	}
	if (perf)
		perf_buffer__consume(perf);
	fflush(stdout);
	fprintf(stderr, "events=%lu lost=%lu run_time_ns=%llu run_cnt=%llu\n", events, lost,
		(unsigned long long)info.run_time_ns, (unsigned long long)info.run_cnt);
	return 0;
}
