/* The Sun and the four giant planets for n steps: double arithmetic with square roots and divisions. */

#define BODIES 5

typedef struct {
    double x[3], v[3], mass;
} Body;

static Body bodies[BODIES];

static void reset(void) {
    static const double start[BODIES][7] = {
        {0, 0, 0, 0, 0, 0, 39.4784176},
        {4.84143144, -1.16032004, -0.10362204, 0.60632639, 2.81198684, -0.02521836, 0.03769367},
        {8.34336671, 4.12479856, -0.40352342, -1.01077434, 1.82566237, 0.00841576, 0.01128633},
        {12.89436956, -15.11115140, -0.22330758, 1.08279101, 0.86871301, -0.01083263, 0.00172372},
        {15.37969711, -25.91931460, 0.17925877, 0.97909073, 0.59469899, -0.03475595, 0.00203369},
    };
    for (int i = 0; i < BODIES; i++) {
        for (int d = 0; d < 3; d++) {
            bodies[i].x[d] = start[i][d];
            bodies[i].v[d] = start[i][3 + d];
        }
        bodies[i].mass = start[i][6];
    }
}

static void advance(double dt) {
    for (int i = 0; i < BODIES; i++) {
        Body *a = &bodies[i];
        for (int j = i + 1; j < BODIES; j++) {
            Body *b = &bodies[j];
            double dx = a->x[0] - b->x[0], dy = a->x[1] - b->x[1], dz = a->x[2] - b->x[2];
            double square = dx * dx + dy * dy + dz * dz;
            double magnitude = dt / (square * __builtin_sqrt(square));
            double ma = a->mass * magnitude, mb = b->mass * magnitude;
            a->v[0] -= dx * mb;
            a->v[1] -= dy * mb;
            a->v[2] -= dz * mb;
            b->v[0] += dx * ma;
            b->v[1] += dy * ma;
            b->v[2] += dz * ma;
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int d = 0; d < 3; d++)
            bodies[i].x[d] += dt * bodies[i].v[d];
}

unsigned run(int n) {
    reset();
    for (int i = 0; i < n; i++)
        advance(0.01);
    unsigned checksum = 0;
    for (int i = 0; i < BODIES; i++)
        for (int d = 0; d < 3; d++)
            checksum = checksum * 31 + (unsigned)(int)(bodies[i].x[d] * 1e6);
    return checksum;
}
