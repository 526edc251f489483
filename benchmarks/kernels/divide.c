/* Divisions: greatest common divisors, powers modulo a prime, decimal digits (division by a constant). */

typedef unsigned int u32;
typedef unsigned long long u64;

static u32 gcd(u32 a, u32 b) {
    while (b) {
        u32 t = a % b;
        a = b;
        b = t;
    }
    return a;
}

static u64 power(u64 base, u32 exponent, u64 modulus) {
    u64 result = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            result = result * base % modulus;
        base = base * base % modulus;
    }
    return result;
}

unsigned run(int n) {
    u32 state = 3, checksum = 0;
    for (int i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        checksum += gcd(state, (state >> 7) + 1);
        checksum ^= (u32)power(state, state >> 16, 4294967291u);
        for (u32 v = state; v; v /= 10)
            checksum = checksum * 3 + v % 10;
        checksum += (u32)((int)state / 7 + (int)state % 1000);
    }
    return checksum;
}
