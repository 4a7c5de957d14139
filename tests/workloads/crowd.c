/* crowd: many do the same known things at the same time.
 *
 *     crowd THREADS COUNT PROCESSES [-w]
 *
 * THREADS threads begin at once, and each does COUNT rounds. Round i (from 1) of thread t (from 0) is
 *   prctl(PR_SET_NAME)         to `tTT-NNNNNNN`, t in two decimal digits and i in seven (task:task_rename)
 *   getppid()                  a system call that is made nowhere else
 *   nested(t, 3)               calls itself with 2, 1 and 0: four calls, which return t, t + 1, t + 2 and t + 3
 *   passed(text)               where text is a page of its own with 200 times the letter 'a' + t
 *   crowd:round                a USDT probe with t, and with a semaphore: passed only while somebody listens
 *   *WATCHED = i               a write of eight bytes to the address 0x10000000
 *
 * Meanwhile two more threads start PROCESSES processes in all (half of them each), one after the other. Each of them is called
 * `crowd-child`, its parent is this process, and it does prctl(PR_SET_NAME), getppid(), nested(7, 0), and crowd:round with 7, and ends.
 *
 * With -w it begins when it can read a byte, prints its line also when it should be silent, and stays until standard
 * input ends.
 *
 * Prints `rounds=THREADS×COUNT processes=PROCESSES listened=N semaphore=ADDRESS passed=ADDRESS`: how often crowd:round was passed by threads,
 * and where its semaphore and the function `passed` lie.
 */
#define NOTE_PROVIDER "crowd"
#include "note.h"
#include "workload.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MOST_THREADS 26
#define STARTERS 2
#define WATCHED ((volatile long *)0x10000000)

volatile unsigned short crowd_round_semaphore __attribute__((section(".probes"), used)) = 0;

static pthread_barrier_t barrier;
static long count, processes, listened;

__attribute__((noinline, noclone)) long nested(long t, long depth)
{
	long result = depth ? nested(t, depth - 1) + 1 : t;
	__asm__ volatile("" : "+r"(result));
	return result;
}

__attribute__((noinline, noclone)) void passed(const char *text)
{
	__asm__ volatile("" : : "r"(text) : "memory");
}

static void pass_round(long t)
{
	if (crowd_round_semaphore) {
		__atomic_fetch_add(&listened, 1, __ATOMIC_RELAXED);
		__asm__ volatile(NOTE("round", "-8@%0", "crowd_round_semaphore") ::"r"(t));
	}
}

static void *work(void *number_of_thread)
{
	long t = (long)number_of_thread;
	char name[16];
	snprintf(name, sizeof(name), "t%02d-0000000", (int)t % 100);
	char *text = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED)
		fail("no memory", strerror(errno));
	memset(text, 'a' + t, 200);
	pthread_barrier_wait(&barrier);
	for (long i = 1; i <= count; i++) {
		next_name(name, sizeof("t00-0000000") - 1);
		prctl(PR_SET_NAME, name);
		syscall(SYS_getppid);
		nested(t, 3);
		passed(text);
		pass_round(t);
		*WATCHED = i;
	}
	return NULL;
}

static void *start(void *number_of_starter)
{
	long own = processes / STARTERS + ((long)number_of_starter < processes % STARTERS);
	pthread_barrier_wait(&barrier);
	for (long p = 0; p < own; p++) {
		pid_t pid = fork();
		if (pid < 0)
			fail("cannot start a process", strerror(errno));
		if (pid == 0) {
			prctl(PR_SET_NAME, "crowd-child");
			syscall(SYS_getppid);
			long result = nested(7, 0);
			pass_round(7);
			_exit(result == 7 ? 0 : 1);
		}
		int status;
		if (waitpid(pid, &status, 0) != pid || status)
			fail("a process", "did not end as it should");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 4 || argc > 5 || (argc == 5 && strcmp(argv[4], "-w")))
		fail("usage", "crowd THREADS COUNT PROCESSES [-w]");
	long threads = number(argv[1], 1);
	count = number(argv[2], 0);
	processes = number(argv[3], 0);
	if (threads > MOST_THREADS)
		fail(argv[1], "too many threads");
	if (mmap((void *)WATCHED, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		fail("no memory", strerror(errno));
	char byte;
	if (argc == 5) {
		unsetenv("WORKLOAD_SILENT");
		if (read(0, &byte, 1) != 1)
			return 0;
	}

	pthread_t thread[MOST_THREADS + STARTERS];
	pthread_barrier_init(&barrier, NULL, threads + STARTERS);
	for (long t = 0; t < threads + STARTERS; t++) {
		void *own = (void *)(t < threads ? t : t - threads);
		if ((errno = pthread_create(&thread[t], NULL, t < threads ? work : start, own)))
			fail("cannot start a thread", strerror(errno));
	}
	for (long t = 0; t < threads + STARTERS; t++)
		pthread_join(thread[t], NULL);

	say("rounds=%ld processes=%ld listened=%ld semaphore=%p passed=%p\n", threads * count, processes, listened,
	    (void *)&crowd_round_semaphore, (void *)passed);
	fflush(stdout);
	while (argc == 5 && read(0, &byte, 1) > 0)
		;
	return 0;
}
