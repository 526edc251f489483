/* Radix-2 fast Fourier transforms of 4096 complex doubles, n times forwards: bit reversal and strided butterflies. */

#define LOG 12
#define SIZE (1 << LOG)

static double re[SIZE], im[SIZE], cosine[SIZE / 2], sine[SIZE / 2];

static void make_roots(void) {
    /* One step of the rotation by 2 pi / SIZE, then repeated multiplication. */
    double angle = 6.283185307179586 / SIZE, a2 = angle * angle;
    double c = 1.0 - a2 / 2 + a2 * a2 / 24 - a2 * a2 * a2 / 720, s = angle * (1.0 - a2 / 6 + a2 * a2 / 120);
    double x = 1.0, y = 0.0;
    for (int i = 0; i < SIZE / 2; i++) {
        cosine[i] = x;
        sine[i] = -y;
        double t = x * c - y * s;
        y = x * s + y * c;
        x = t;
    }
}

static void transform(void) {
    for (int i = 1, j = 0; i < SIZE; i++) {
        int bit = SIZE >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            double a = re[i], b = im[i];
            re[i] = re[j];
            im[i] = im[j];
            re[j] = a;
            im[j] = b;
        }
    }
    for (int half = 1; half < SIZE; half *= 2) {
        int step = SIZE / (2 * half);
        for (int start = 0; start < SIZE; start += 2 * half)
            for (int k = 0; k < half; k++) {
                double wr = cosine[k * step], wi = sine[k * step];
                int p = start + k, q = p + half;
                double xr = re[q] * wr - im[q] * wi, xi = re[q] * wi + im[q] * wr;
                re[q] = re[p] - xr;
                im[q] = im[p] - xi;
                re[p] += xr;
                im[p] += xi;
            }
    }
}

unsigned run(int n) {
    make_roots();
    for (int i = 0; i < SIZE; i++) {
        re[i] = (double)((i * 37 & 255) - 128);
        im[i] = 0.0;
    }
    for (int round = 0; round < n; round++) {
        transform();
        for (int i = 0; i < SIZE; i++) {
            re[i] *= 1.0 / 64;
            im[i] *= 1.0 / 64;
        }
    }
    double sum = 0.0;
    for (int i = 0; i < SIZE; i++)
        sum += re[i] * re[i] + im[i] * (double)(i & 7);
    return (unsigned)(int)sum;
}
