/* stacks: renames itself to `traced` COUNT times, from a known stack of functions, and to `done` at the end.
 *
 *     stacks COUNT [-d]
 *
 * main calls outer, outer calls middle, and middle has inner inlined, where the system call is made. With -d it
 * executes a copy of itself, which deletes its own file first, and stays for a moment at the end.
 *
 * The system calls are made here and not in libc, whose functions keep no frame pointer.
 *
 * build: -fno-omit-frame-pointer -fno-optimize-sibling-calls
 */
#include "workload.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* What a tracer may read, and a symbol that has it. */
int answer = 42;

static inline __attribute__((always_inline)) long inner(const char *name)
{
	long result;
	__asm__ volatile("syscall; nop"
			 : "=a"(result)
			 : "0"((long)SYS_prctl), "D"((long)PR_SET_NAME), "S"(name)
			 : "rcx", "r11", "memory");
	return result;
}

/* A function that asks where its frame is has one. */
#define HAS_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

__attribute__((noinline, noclone)) long middle(const char *name)
{
	HAS_FRAME();
	return inner(name);
}

__attribute__((noinline, noclone)) long outer(long count)
{
	long sum = 0;
	HAS_FRAME();
	for (long i = 0; i < count; i++)
		sum += middle("traced");
	return sum;
}

static void become_a_copy(const char *count)
{
	char copy[64];
	snprintf(copy, sizeof(copy), "/tmp/stacks-copy-%d", (int)getpid());
	int from = open("/proc/self/exe", O_RDONLY), to = open(copy, O_WRONLY | O_CREAT | O_EXCL, 0700);
	struct stat state;
	if (from < 0 || to < 0 || fstat(from, &state) || sendfile(to, from, NULL, state.st_size) != state.st_size)
		fail("cannot copy itself", strerror(errno));
	close(to);
	execl(copy, copy, count, "-D", (char *)NULL);
	fail(copy, strerror(errno));
}

int main(int argc, char **argv)
{
	HAS_FRAME();
	if (argc < 2)
		fail("usage", "stacks COUNT [-d]");
	if (argc > 2 && !strcmp(argv[2], "-d"))
		become_a_copy(argv[1]);
	if (argc > 2 && unlink(argv[0]))
		fail("cannot delete itself", strerror(errno));
	if (outer(number(argv[1], 1)))
		fail("cannot rename itself", "prctl");
	prctl(PR_SET_NAME, "done");
	if (argc > 2)
		usleep(200000);
	say("stacks=%s\n", argv[1]);
	return 0;
}
