/* calls: THREADS threads call `called_often` COUNT times each, all at once; then PROCESSES processes start, call `called_once` and end.
 *
 *     calls THREADS COUNT PROCESSES [vfork]
 *
 * With `vfork` they have their parent's memory, which is cheaper.
 * `called_often` is called THREADS × COUNT times, and `called_once`, which returns 3, PROCESSES times. They ask for the groups of
 * the processes 7000000 and 8000000, which cannot be.
 */
#include "workload.h"
#include <pthread.h>
#include <sys/wait.h>

static pthread_barrier_t barrier;
static long count;

__attribute__((noinline, noclone)) long called_often(long number)
{
	__asm__ volatile("" : "+r"(number));
	getpgid(7000000);
	return number;
}

__attribute__((noinline, noclone)) long called_once(long number)
{
	__asm__ volatile("" : "+r"(number));
	getpgid(8000000);
	return number + 1;
}

static void *call(void *unused)
{
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < count; i++)
		called_often(i);
	return unused;
}

int main(int argc, char **argv)
{
	int shared = argc == 5 && strcmp(argv[4], "vfork") == 0;
	if (argc != 4 + shared)
		fail("usage", "calls THREADS COUNT PROCESSES [vfork]");
	long threads = number(argv[1], 1), processes = number(argv[3], 0);
	count = number(argv[2], 1);
	pthread_t thread[threads];
	pthread_barrier_init(&barrier, NULL, threads);
	for (long t = 0; t < threads; t++)
		if ((errno = pthread_create(&thread[t], NULL, call, NULL)))
			fail("cannot start a thread", strerror(errno));
	for (long t = 0; t < threads; t++)
		pthread_join(thread[t], NULL);
	for (long p = 0; p < processes; p++) {
		pid_t pid = shared ? vfork() : fork();
		if (pid < 0)
			fail("cannot start a process", strerror(errno));
		if (pid == 0)
			_exit(called_once(2) == 3 ? 0 : 1);
		waitpid(pid, NULL, 0);
	}
	return 0;
}
