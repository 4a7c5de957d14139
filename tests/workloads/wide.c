/* wide: calls a function with more arguments than registers carry.
 *
 *     wide
 *
 * `take_nine` is called once, with 11, 22, … 99.
 */
#include "workload.h"

__attribute__((noinline, noclone)) long take_nine(long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
	__asm__ volatile("" : "+r"(a), "+r"(g) : : "memory");
	return a + b + c + d + e + f + g + h + i;
}

int main(void)
{
	return take_nine(11, 22, 33, 44, 55, 66, 77, 88, 99) == 495 ? 0 : 1;
}
