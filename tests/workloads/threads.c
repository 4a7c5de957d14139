/* threads: THREADS threads, each of which renames itself COUNT times, all at once.
 *
 *     threads THREADS COUNT
 *
 * Events: task:task_rename fires THREADS × COUNT times in this process (and once before, in its exec). Rename number i of
 * thread t (from 0) is to `tTT-NNNNNNN`, t in two decimal digits and i in seven. Each thread has a thread id
 * of its own; the process id is one. The first thread only starts the others and waits.
 *
 * Prints `renames=THREADS×COUNT elapsed_ns=… ns_each=… per_second=…`, from before the first start to after the last end.
 */
#include "workload.h"
#include <pthread.h>
#include <sys/prctl.h>

#define MOST_THREADS 100

static pthread_barrier_t barrier;
static long count;

static void *rename_often(void *number_of_thread)
{
	char name[16];
	snprintf(name, sizeof(name), "t%02d-0000000", (int)(long)number_of_thread % MOST_THREADS);
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < count; i++) {
		next_name(name, sizeof("t00-0000000") - 1);
		prctl(PR_SET_NAME, name);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		fail("usage", "threads THREADS COUNT");
	long threads = number(argv[1], 1);
	count = number(argv[2], 0);
	if (threads > MOST_THREADS)
		fail(argv[1], "too many threads");

	pthread_t thread[MOST_THREADS];
	pthread_barrier_init(&barrier, NULL, threads);
	long start = now_ns();
	for (long t = 0; t < threads; t++)
		if ((errno = pthread_create(&thread[t], NULL, rename_often, (void *)t)))
			fail("cannot start a thread", strerror(errno));
	for (long t = 0; t < threads; t++)
		pthread_join(thread[t], NULL);
	report("renames", threads * count, now_ns() - start);
	return 0;
}
