/* short_names: calls a function COUNT times whose name is one that C++ gives a type (`v` is `void`).
 *
 *     short_names COUNT
 */
#include "workload.h"

__attribute__((noinline, noclone)) void v(long number)
{
	__asm__ volatile("" : : "r"(number));
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1;
	for (long i = 0; i < count; i++)
		v(i);
	return 0;
}
