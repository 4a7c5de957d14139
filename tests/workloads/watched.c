/* watched: writes COUNT times to the variable `watched`, and reads it COUNT times.
 *
 *     watched COUNT
 *     watched COUNT THREADS        each of so many threads does that
 *
 * The variable lies at WATCHED, whatever the linker does.
 */
#include "workload.h"
#include <pthread.h>
#include <sys/mman.h>

#define WATCHED ((volatile long *)0x10000000)

static long count;

static void *work(void *unused)
{
	for (long i = 0; i < count; i++)
		*WATCHED = i;
	for (long i = 0; i < count; i++)
		(void)*WATCHED;
	return unused;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		fail("usage", "watched COUNT [THREADS]");
	count = number(argv[1], 1);
	long threads = argc > 2 ? number(argv[2], 1) : 0;
	if (mmap((void *)WATCHED, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("no memory", strerror(errno));
	if (threads == 0)
		work(NULL);
	for (; threads > 0; threads--) {
		pthread_t thread;
		if ((errno = pthread_create(&thread, NULL, work, NULL)))
			fail("cannot start a thread", strerror(errno));
		pthread_join(thread, NULL);
	}
	return 0;
}
