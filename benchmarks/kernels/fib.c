/* Fibonacci numbers by double recursion: the cost of a call. */

__attribute__((noinline)) static unsigned fib(unsigned n) {
    if (n < 2)
        return n;
    return fib(n - 1) + fib(n - 2);
}

unsigned run(int n) { return fib((unsigned)n); }
