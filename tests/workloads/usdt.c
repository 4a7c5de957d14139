/* usdt: passes its own probes, of the provider `app`, COUNT times each.
 *
 *     usdt COUNT
 *
 * | probe     | arguments |
 * |-----------|-----------|
 * | `plain`   | none |
 * | `round`   | the round i (int), -5, the text "round"; at two sites, whose arguments lie elsewhere: so 2 × COUNT times |
 * | `wide`    | (signed char)-1, (unsigned short)65535, the longest negative long |
 * | `element` | element i % 4 of an array of 10, 20, 30, 40 (x86-64: by base and index) |
 * | `real`    | a floating-point number, and 7 |
 * | `guarded` | 2 × i; it has a semaphore, and is passed only while somebody listens |
 *
 * Prints `guarded=N`, how often `guarded` was passed.
 */
#define NOTE_PROVIDER "app"
#include "note.h"
#include "workload.h"
#include <limits.h>

volatile unsigned short app_guarded_semaphore __attribute__((section(".probes"), used)) = 0;

static const long array[] = { 10, 20, 30, 40 };

static __attribute__((noinline)) void first_site(long i)
{
	__asm__ volatile(NOTE("round", "-4@%0 -4@%1 8@%2", "0") ::"r"((int)i), "i"(-5), "r"("round"));
}

static __attribute__((noinline)) void second_site(long i)
{
	volatile int in_memory = (int)i;
	const char *volatile text = "round";
	__asm__ volatile(NOTE("round", "-4@%0 -4@%1 8@%2", "0") ::"m"(in_memory), "r"(-5), "m"(text));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage", "usdt COUNT");
	long count = number(argv[1], 1), guarded = 0;
	for (long i = 0; i < count; i++) {
		__asm__ volatile(NOTE("plain", "", "0"));
		first_site(i);
		second_site(i);
		__asm__ volatile(NOTE("wide", "-1@%0 2@%1 -8@%2", "0") ::"r"((signed char)-1),
				 "r"((unsigned short)65535), "r"(LONG_MIN));
#ifdef __x86_64__
		__asm__ volatile(NOTE("element", "-8@(%0,%1,8)", "0") ::"r"(array), "r"(i % 4));
		__asm__ volatile(NOTE("real", "8f@%0 -4@%1", "0") ::"x"(1.5), "r"(7));
#else
		__asm__ volatile(NOTE("element", "-8@%0", "0") ::"r"(array[i % 4]));
		__asm__ volatile(NOTE("real", "8f@%0 -4@%1", "0") ::"w"(1.5), "r"(7));
#endif
		if (app_guarded_semaphore) {
			guarded++;
			__asm__ volatile(NOTE("guarded", "-8@%0", "app_guarded_semaphore") ::"r"(2 * i));
		}
	}
	say("guarded=%ld\n", guarded);
	return 0;
}
