/* faults: writes to COUNT fresh pages, each of which is a minor page fault.
 *
 *     faults COUNT
 *
 * While it does so it is called `faults-run`, and at no other time; the page faults of that time are COUNT.
 */
#include "workload.h"
#include <sys/mman.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage", "faults COUNT");
	long count = number(argv[1], 1);
	char *memory = mmap(NULL, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, count * 4096, MADV_NOHUGEPAGE))
		fail("no memory", strerror(errno));
	/* What the loop touches besides is touched before. */
	volatile long i = 0;
	prctl(PR_SET_NAME, "faults-run");
	for (; i < count; i++)
		((volatile char *)memory)[i * 4096] = 1;
	prctl(PR_SET_NAME, "faults-end");
	return 0;
}
