/* many: calls `many`, which has more arguments than there are registers for them, COUNT times, and `memcpy` for 4097 bytes as often.
 *
 *     many COUNT
 *
 * In round i, `many` gets i, 2, 3, a floating-point number, 4, 5, 6, 7, a structure of 24 bytes, the text "eight", and -9.
 */
#include "workload.h"

struct large {
	long numbers[3];
};

static char from[4097], to[4097];

__attribute__((noinline, noclone)) long many(long round, int b, short c, double real, long d, long e, unsigned char f, int g,
					      struct large large, const char *text, signed char last)
{
	__asm__ volatile("" : : "r"(text), "m"(large) : "memory");
	return round + b + c + (long)real + d + e + f + g + last;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage", "many COUNT");
	long count = number(argv[1], 1), sum = 0;
	/* The compiler does not know what is called. */
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	for (long i = 0; i < count; i++) {
		sum += many(i, 2, 3, 0.5, 4, 5, 6, 7, (struct large){{10, 11, 12}}, "eight", -9);
		copy(to, from, sizeof(to));
	}
	say("sum=%ld\n", sum);
	return 0;
}
