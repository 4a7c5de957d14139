/* syscalls: makes a known number of known system calls.
 *
 *     syscalls COUNT
 *
 * In this order, each one COUNT times in a row:
 *   getppid()                  always succeeds
 *   nanosleep({0, 1 ns}, NULL) returns 0
 *   write(fd, "x", 1)          to /dev/null, returns 1
 *   close(-1)                  returns -EBADF (-9)
 *
 * Beside them the process makes the system calls of any start and exit, one openat of /dev/null, and unless it is silent one write to standard output at
 * its end; it calls getppid, nanosleep and close(-1) nowhere else.
 *
 * Prints `getppid=COUNT nanosleep=COUNT write=COUNT close=COUNT`.
 */
#include "workload.h"
#include <fcntl.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage", "syscalls COUNT");
	long count = number(argv[1], 0);
	int null = open("/dev/null", O_WRONLY);
	if (null < 0)
		fail("/dev/null", strerror(errno));

	struct timespec moment = { .tv_sec = 0, .tv_nsec = 1 };
	for (long i = 0; i < count; i++)
		syscall(SYS_getppid);
	for (long i = 0; i < count; i++)
		if (syscall(SYS_nanosleep, &moment, NULL))
			fail("nanosleep", strerror(errno));
	for (long i = 0; i < count; i++)
		if (syscall(SYS_write, null, "x", 1) != 1)
			fail("write to /dev/null", strerror(errno));
	for (long i = 0; i < count; i++)
		if (syscall(SYS_close, -1) != -1)
			fail("close(-1)", "it succeeded");
	say("getppid=%ld nanosleep=%ld write=%ld close=%ld\n", count, count, count, count);
	return 0;
}
