/* stacks: renames itself to `traced` COUNT times, from a known stack of functions, and to `done` at the end.
 *
 *     stacks COUNT [-d]
 *
 * main calls outer, outer calls middle, and middle has inner inlined, where the system call is made. With -d the program
 * deletes its own file first.
 *
 * The system calls are made here and not in libc, whose functions keep no frame pointer.
 *
 * build: -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer -fno-shrink-wrap -fno-optimize-sibling-calls
 */
#include "workload.h"
#include <sys/prctl.h>
#include <sys/syscall.h>

static inline __attribute__((always_inline)) long inner(const char *name)
{
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_prctl), "D"((long)PR_SET_NAME), "S"(name)
			 : "rcx", "r11", "memory");
	return result;
}

__attribute__((noinline, noclone)) long middle(const char *name)
{
	return inner(name);
}

__attribute__((noinline, noclone)) long outer(long count)
{
	long sum = 0;
	for (long i = 0; i < count; i++)
		sum += middle("traced");
	return sum;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		fail("usage", "stacks COUNT [-d]");
	if (argc > 2 && unlink(argv[0]))
		fail("cannot delete itself", strerror(errno));
	if (outer(number(argv[1], 1)))
		fail("cannot rename itself", "prctl");
	prctl(PR_SET_NAME, "done");
	say("stacks=%s\n", argv[1]);
	return 0;
}
