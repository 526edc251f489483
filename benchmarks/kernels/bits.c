/* 64-bit bit tricks: counts, rotations, multiplications, shifts by variable amounts. */

typedef unsigned long long u64;

static u64 rotl(u64 x, int count) { return x << (count & 63) | x >> (-count & 63); }

unsigned run(int n) {
    u64 a = 0x9E3779B97F4A7C15ull, b = 0xBF58476D1CE4E5B9ull, sum = 0;
    for (int i = 0; i < n; i++) {
        u64 x = a;
        a = b;
        x ^= x << 23;
        b = x ^ a ^ x >> 18 ^ a >> 5;
        u64 value = a + b;
        int ones = __builtin_popcountll(value), zeros = __builtin_clzll(value | 1), low = __builtin_ctzll(value | 1ull << 63);
        sum += rotl(value, ones) ^ value >> zeros ^ value << low;
        sum ^= (sum >> 29) * 0x94D049BB133111EBull;
        sum += (u64)(long long)(signed char)value + (u64)(long long)(short)(value >> 8);
    }
    return (unsigned)(sum ^ sum >> 32);
}
