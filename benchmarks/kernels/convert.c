/* Conversions between integers and floats, signed and unsigned, both widths, with saturation. */

typedef unsigned int u32;
typedef unsigned long long u64;

static u32 to_u32(double x) { return x >= 0.0 && x < 4294967296.0 ? (u32)x : ~0u; }
static u64 to_u64(double x) { return x >= 0.0 && x < 18446744073709551616.0 ? (u64)x : ~0ull; }
static int to_i32(float x) { return x >= -2147483648.0f && x < 2147483648.0f ? (int)x : -1; }

unsigned run(int n) {
    u64 sum = 0;
    u32 state = 7;
    for (int i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        u64 wide = (u64)state * (state ^ 0x5bd1e995u);
        double a = (double)state, b = (double)(int)state, c = (double)wide, d = (double)(long long)wide;
        float e = (float)(int)state, f = (float)wide;
        sum += to_u32(a * 1.25) + to_u64(c * 0.75) + (u64)(long long)(b * 0.5) + (u64)(long long)(d * 0.125);
        sum ^= (u64)(u32)to_i32(e * 1.5f) + (u64)(long long)(f * 0.25f) + to_u64((double)e);
    }
    return (u32)(sum ^ sum >> 32);
}
