/* What the workloads share: arguments, the clock, the pinned CPU.
 *
 * A workload does a known number of known things and then prints one line of key=value pairs, unless WORKLOAD_SILENT is
 * set: where a tracer prints to the same pipe, nobody knows which of the two comes first. It reports
 * a mistake in its use or its environment on standard error and exits with status 2.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(2);
}

/* Prints the workload's line. */
__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
	if (getenv("WORKLOAD_SILENT"))
		return;
	va_list arguments;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
}

/* A whole number from the command line, no smaller than `least`. */
static inline long number(const char *text, long least)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < least)
		fail(text, "not a number that can be used here");
	return value;
}

static inline void pin_to_cpu(long cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("cannot run on this CPU", strerror(errno));
}

static inline long now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Prints `WHAT=COUNT elapsed_ns=… ns_each=… per_second=…`; the two last ones are rounded down. */
static inline void report(const char *what, long count, long elapsed_ns)
{
	if (elapsed_ns < 1)
		elapsed_ns = 1;
	say("%s=%ld elapsed_ns=%ld ns_each=%ld per_second=%ld\n", what, count, elapsed_ns,
	    count ? elapsed_ns / count : 0, (long)(count * 1e9 / elapsed_ns));
}

/* Names number `i` (counted from 1) in place: the last seven bytes of `name`, before its NUL, are digits. */
static inline void next_name(char *name, size_t length)
{
	for (size_t digit = length; digit-- > length - 7;) {
		if (name[digit] != '9') {
			name[digit]++;
			return;
		}
		name[digit] = '0';
	}
}

#endif
