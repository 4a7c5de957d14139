/* faults: writes to COUNT fresh pages, each of which is a minor page fault.
 *
 *     faults COUNT
 *     faults COUNT THREADS        each of so many threads does that, all at once
 *
 * While it does so it is (or each of the threads is) called `faults-run`, and at no other time; the page faults of that time are COUNT.
 */
#include "workload.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define MOST_THREADS 100

static pthread_barrier_t barrier;
static long count;

static void *work(void *unused)
{
	char *memory = mmap(NULL, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, count * 4096, MADV_NOHUGEPAGE))
		fail("no memory", strerror(errno));
	/* What the loop touches besides is touched before. */
	volatile long i = 0;
	pthread_barrier_wait(&barrier);
	prctl(PR_SET_NAME, "faults-run");
	for (; i < count; i++)
		((volatile char *)memory)[i * 4096] = 1;
	prctl(PR_SET_NAME, "faults-end");
	return unused;
}

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 3)
		fail("usage", "faults COUNT [THREADS]");
	count = number(argv[1], 1);
	long threads = argc == 3 ? number(argv[2], 1) : 1;
	if (threads > MOST_THREADS)
		fail(argv[2], "too many threads");
	pthread_barrier_init(&barrier, NULL, threads);
	if (argc == 2)
		work(NULL);
	pthread_t thread[MOST_THREADS];
	for (long t = 0; argc == 3 && t < threads; t++)
		if ((errno = pthread_create(&thread[t], NULL, work, NULL)))
			fail("cannot start a thread", strerror(errno));
	for (long t = 0; argc == 3 && t < threads; t++)
		pthread_join(thread[t], NULL);
	return 0;
}
