/* Spectral norm of the matrix 1/((i+j)(i+j+1)/2 + i + 1) of order n: int to double conversions and divisions. */

#define MAX 1024

static double u[MAX], v[MAX], t[MAX];

static double element(int i, int j) { return 1.0 / (double)((i + j) * (i + j + 1) / 2 + i + 1); }

static void times(int n, const double *in, double *out) {
    for (int i = 0; i < n; i++) {
        double sum = 0.0;
        for (int j = 0; j < n; j++)
            sum += element(i, j) * in[j];
        out[i] = sum;
    }
}

static void times_transposed(int n, const double *in, double *out) {
    for (int i = 0; i < n; i++) {
        double sum = 0.0;
        for (int j = 0; j < n; j++)
            sum += element(j, i) * in[j];
        out[i] = sum;
    }
}

unsigned run(int n) {
    for (int i = 0; i < n; i++)
        u[i] = 1.0;
    for (int round = 0; round < 10; round++) {
        times(n, u, t);
        times_transposed(n, t, v);
        times(n, v, t);
        times_transposed(n, t, u);
    }
    double uv = 0.0, vv = 0.0;
    for (int i = 0; i < n; i++) {
        uv += u[i] * v[i];
        vv += v[i] * v[i];
    }
    return (unsigned)(__builtin_sqrt(uv / vv) * 1e9);
}
