/* holds: a process that has a known number of things, and keeps them until its standard input ends.
 *
 *     holds THREADS FILES MAPPINGS SOCKETS
 *
 * It has THREADS threads besides the first one, each named `held`; FILES descriptors of /dev/null, all consecutive and from 100 on;
 * MAPPINGS mappings of a page each, two pages apart, from 0x100000000000 on; and SOCKETS times a socket of TCP that listens and one of UDP that
 * is bound, at the address 127.x.y.z where xyz are the lowest 24 bits of the process's number.
 *
 * Prints `ready` when it has them all, also where WORKLOAD_SILENT is set.
 */
#include "workload.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define FIRST_FILE 100
#define FIRST_MAPPING 0x100000000000UL

static pthread_barrier_t named;

static void *wait_for_the_end(void *nothing)
{
	prctl(PR_SET_NAME, "held");
	pthread_barrier_wait(&named);
	for (;;)
		pause();
	return nothing;
}

static void bind_socket(int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	at.sin_addr.s_addr = htonl(0x7f000000 | (getpid() & 0xffffff));
	int fd = socket(AF_INET, type, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		fail("cannot bind a socket", strerror(errno));
	if (type == SOCK_STREAM && listen(fd, 1))
		fail("cannot listen", strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc != 5)
		fail("usage", "holds THREADS FILES MAPPINGS SOCKETS");
	long threads = number(argv[1], 0), files = number(argv[2], 0), mappings = number(argv[3], 0);
	long sockets = number(argv[4], 0);

	struct rlimit limit = { FIRST_FILE + files + 1, FIRST_FILE + files + 1 };
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int null = open("/dev/null", O_RDONLY);
	for (long i = 0; i < files; i++)
		if (dup2(null, FIRST_FILE + i) < 0)
			fail("cannot open so many files", strerror(errno));
	long page = sysconf(_SC_PAGESIZE);
	for (long i = 0; i < mappings; i++) {
		void *at = (void *)(FIRST_MAPPING + 2 * i * page);
		if (mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
			fail("cannot map so often", strerror(errno));
	}
	for (long i = 0; i < sockets; i++) {
		bind_socket(SOCK_STREAM);
		bind_socket(SOCK_DGRAM);
	}
	pthread_barrier_init(&named, NULL, threads + 1);
	for (long i = 0; i < threads; i++) {
		pthread_t thread;
		if ((errno = pthread_create(&thread, NULL, wait_for_the_end, NULL)))
			fail("cannot start a thread", strerror(errno));
	}
	pthread_barrier_wait(&named);

	puts("ready");
	fflush(stdout);
	char byte;
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
