/* open: opens each given file COUNT times for reading, and closes it.
 *
 *     open COUNT FILE...
 *
 * Events: the system call openat is made COUNT × FILES times by this process, round by round in the order of the
 * arguments, with dirfd AT_FDCWD (-100) and flags O_RDONLY (0); close follows each success. A file that cannot be
 * opened is no mistake: its error is what a test wants to see.
 *
 * Prints `opened=… failed=…` and exits with 0.
 */
#include "workload.h"
#include <fcntl.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		fail("usage", "open COUNT FILE...");
	long count = number(argv[1], 0), opened = 0, failed = 0;
	for (long round = 0; round < count; round++) {
		for (char **file = argv + 2; *file; file++) {
			long fd = syscall(SYS_openat, AT_FDCWD, *file, O_RDONLY, 0);
			if (fd < 0) {
				failed++;
				continue;
			}
			opened++;
			close(fd);
		}
	}
	say("opened=%ld failed=%ld\n", opened, failed);
	return 0;
}
