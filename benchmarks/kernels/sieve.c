/* Sieve of Eratosthenes over bytes: strided stores, one loop of byte tests. Returns the number of primes below n. */

#define LIMIT 4000000

static unsigned char composite[LIMIT];

unsigned run(int n) {
    unsigned count = 0;
    for (int i = 0; i < n; i++)
        composite[i] = 0;
    for (int i = 2; i < n; i++) {
        if (composite[i])
            continue;
        count++;
        for (long long j = (long long)i * i; j < n; j += i)
            composite[j] = 1;
    }
    return count;
}
