/* watched: writes COUNT times to the variable `watched`, and reads it COUNT times.
 *
 *     watched COUNT
 *     watched COUNT THREADS        each of so many threads does that
 *     watched COUNT 0 AGAIN        does it AGAIN times more once it gets SIGUSR1
 *
 * The variable lies at WATCHED, whatever the linker does. Another one behind it is written as often.
 */
#include "workload.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define WATCHED ((volatile long *)0x10000000)

static long count;

static void *work(void *unused)
{
	for (long i = 0; i < count; i++) {
		WATCHED[0] = i;
		WATCHED[1] = i;
	}
	for (long i = 0; i < count; i++)
		(void)*WATCHED;
	return unused;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		fail("usage", "watched COUNT [THREADS [AGAIN]]");
	count = number(argv[1], 1);
	long threads = argc > 2 ? number(argv[2], 0) : 0;
	if (mmap((void *)WATCHED, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("no memory", strerror(errno));
	sigset_t again;
	sigemptyset(&again);
	sigaddset(&again, SIGUSR1);
	if (argc > 3)
		sigprocmask(SIG_BLOCK, &again, NULL);
	if (threads == 0)
		work(NULL);
	if (argc > 3) {
		int signal;
		sigwait(&again, &signal);
		count = number(argv[3], 1);
		work(NULL);
	}
	for (; threads > 0; threads--) {
		pthread_t thread;
		if ((errno = pthread_create(&thread, NULL, work, NULL)))
			fail("cannot start a thread", strerror(errno));
		pthread_join(thread, NULL);
	}
	return 0;
}
