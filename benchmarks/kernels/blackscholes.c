/* Option prices by the Black-Scholes formula, n of them, with exp, log and the normal distribution as polynomials. */

typedef unsigned long long u64;

static double from_bits(u64 bits) {
    union {
        u64 u;
        double d;
    } x = {bits};
    return x.d;
}

static u64 to_bits(double value) {
    union {
        double d;
        u64 u;
    } x = {value};
    return x.u;
}

static double exponential(double x) {
    int k = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double r = x - k * 0.6931471805599453;
    double p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120 + r * (1.0 / 720))))));
    return p * from_bits((u64)(k + 1023) << 52);
}

static double logarithm(double x) {
    u64 bits = to_bits(x);
    int k = (int)(bits >> 52) - 1023;
    double m = from_bits((bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
    double z = (m - 1.4142135623730951) / (m + 1.4142135623730951), z2 = z * z;
    return 2 * z * (1 + z2 * (1.0 / 3 + z2 * (1.0 / 5 + z2 * (1.0 / 7 + z2 / 9)))) + (k + 0.5) * 0.6931471805599453;
}

static double normal(double x) {
    double a = __builtin_fabs(x), t = 1.0 / (1.0 + 0.2316419 * a);
    double p = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    double tail = 0.3989422804014327 * exponential(-a * a / 2) * p;
    return x < 0 ? tail : 1.0 - tail;
}

unsigned run(int n) {
    double sum = 0.0;
    unsigned state = 42;
    for (int i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        double spot = 50.0 + (state >> 24), strike = 60.0 + (state >> 16 & 127);
        double time = 0.25 + (state >> 12 & 7), volatility = 0.1 + 0.01 * (state >> 4 & 31), rate = 0.03;
        double spread = volatility * __builtin_sqrt(time);
        double d1 = (logarithm(spot / strike) + (rate + volatility * volatility / 2) * time) / spread;
        double d2 = d1 - spread;
        sum += spot * normal(d1) - strike * exponential(-rate * time) * normal(d2);
    }
    return (unsigned)(long long)(sum * 1000.0);
}
