/* cold: gives functions addresses of memory that is mapped, and that the process has not touched.
 *
 *     cold THREADS
 *
 * Each thread calls `read_me` with three of them: a text `cold NUMBER`; a structure with the number and the text; and a text of 600
 * times `x` whose first half the thread has touched. All lie in files, on pages of their own. Then it calls `miss_me` with an address where nothing is.
 */
#include "workload.h"
#include <pthread.h>
#include <sys/mman.h>

enum { PAGE = 4096, LONG = 600 };

struct named {
	long number;
	char name[24];
};

__attribute__((noinline, noclone)) void read_me(const char *text, const struct named *named, const char *crossing)
{
	__asm__ volatile("" : : "r"(text), "r"(named), "r"(crossing) : "memory");
}

__attribute__((noinline, noclone)) void miss_me(const char *text)
{
	__asm__ volatile("" : : "r"(text) : "memory");
}

static char *map(int file, long page, char *at)
{
	char *mapped = mmap(at, PAGE, PROT_READ, MAP_PRIVATE | (at ? MAP_FIXED : 0), file, page * PAGE);
	if (mapped == MAP_FAILED)
		fail("no memory", strerror(errno));
	return mapped;
}

static void *run(void *argument)
{
	static char pages[64][4 * PAGE];
	long index = (long)argument;
	char *page = pages[index];
	snprintf(page, PAGE, "cold %ld", index);
	struct named *named = (struct named *)(page + PAGE);
	named->number = index;
	snprintf(named->name, sizeof(named->name), "cold %ld", index);
	memset(page + 3 * PAGE - LONG / 2, 'x', LONG);
	int file = memfd_create("cold", 0);
	if (file < 0 || write(file, page, 4 * PAGE) != 4 * PAGE)
		fail("no file", strerror(errno));
	/* The kernel brings in what lies around a page that is touched, within a mapping. Those with other rights are others. */
	char *text = map(file, 0, NULL), *structure = map(file, 1, NULL);
	char *both = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (both == MAP_FAILED)
		fail("no memory", strerror(errno));
	map(file, 2, both);
	if (mprotect(both, PAGE, PROT_READ | PROT_WRITE))
		fail("no memory", strerror(errno));
	map(file, 3, both + PAGE);
	*(volatile char *)both;
	read_me(text, (struct named *)structure, both + PAGE - LONG / 2);
	miss_me((char *)8);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage", "cold THREADS");
	long count = number(argv[1], 1);
	pthread_t threads[64];
	if (count > 64)
		fail(argv[1], "more than 64 threads");
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)i))
			fail("no thread", "");
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	say("threads=%ld\n", count);
	return 0;
}
