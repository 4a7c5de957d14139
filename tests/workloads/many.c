/* many: calls `many`, which has more arguments than there are registers for them, COUNT times, and `wmemset` for 1025 characters as often.
 *
 *     many COUNT
 *
 * In round i, `many` gets i, 2, 3, a floating-point number, 4, 5, 6, 7, a structure of 24 bytes, the text "eight", and -9.
 */
#include "workload.h"
#include <wchar.h>

struct large {
	long numbers[3];
};

static wchar_t to[1025];

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
	wchar_t *(*volatile set)(wchar_t *, wchar_t, size_t) = wmemset;
	for (long i = 0; i < count; i++) {
		sum += many(i, 2, 3, 0.5, 4, 5, 6, 7, (struct large){{10, 11, 12}}, "eight", -9);
		set(to, 7, 1025);
	}
	say("sum=%ld\n", sum);
	return 0;
}
