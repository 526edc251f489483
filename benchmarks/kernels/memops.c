/* Copies and fills of many sizes, n rounds, by the compiler's memcpy, memmove and memset, and by loops over bytes. */

#define SIZE 65536

static unsigned char a[SIZE], b[SIZE];

unsigned run(int n) {
    unsigned checksum = 0, state = 5;
    for (int i = 0; i < SIZE; i++)
        a[i] = (unsigned char)(i ^ i >> 5);
    for (int round = 0; round < n; round++) {
        state = state * 1664525u + 1013904223u;
        unsigned size = state >> 20, from = state & 16383, to = state >> 9 & 16383;
        __builtin_memcpy(b + to, a + from, size);
        __builtin_memmove(a + from + 7, a + from, size);
        __builtin_memset(a + to, (int)(state >> 24), size >> 3);
        for (unsigned i = 0; i < 512; i++)
            a[from + i] = (unsigned char)(b[to + 511 - i] + 1);
        for (const unsigned char *p = b + to; *p & 0x3F && p < b + to + size; p++)
            checksum++;
        checksum = checksum * 31 + a[from + size / 2];
    }
    return checksum;
}
