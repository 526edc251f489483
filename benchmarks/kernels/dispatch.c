/* Indirect calls: objects with a table of methods, and a state machine of functions that return the next one. */

typedef struct Shape {
    int (*area)(const struct Shape *);
    int (*grow)(struct Shape *, int);
    int width, height;
} Shape;

static int rectangle(const Shape *s) { return s->width * s->height; }
static int triangle(const Shape *s) { return s->width * s->height / 2; }
static int ring(const Shape *s) { return 3 * (s->width * s->width - s->height * s->height); }
static int widen(Shape *s, int by) { return s->width = (s->width + by) & 1023; }
static int heighten(Shape *s, int by) { return s->height = (s->height ^ by) & 1023; }

typedef unsigned (*State)(unsigned value, unsigned *next);

static unsigned halve(unsigned value, unsigned *next) {
    *next = value & 2 ? 1 : 2;
    return value >> 1;
}
static unsigned triple(unsigned value, unsigned *next) {
    *next = value & 1 ? 0 : 3;
    return value * 3 + 1;
}
static unsigned scatter(unsigned value, unsigned *next) {
    *next = value >> 5 & 3;
    return value * 2654435761u;
}
static unsigned fold(unsigned value, unsigned *next) {
    *next = value & 1 ? 2 : 0;
    return value ^ value >> 15;
}

static Shape shapes[64];
static State const states[] = {halve, triple, scatter, fold};

unsigned run(int n) {
    for (int i = 0; i < 64; i++) {
        shapes[i].area = i % 3 == 0 ? rectangle : i % 3 == 1 ? triangle : ring;
        shapes[i].grow = i & 1 ? widen : heighten;
        shapes[i].width = i + 10;
        shapes[i].height = 70 - i;
    }
    unsigned checksum = 1, state = 0;
    for (int i = 0; i < n; i++) {
        Shape *shape = &shapes[i * 7 & 63];
        checksum += (unsigned)shape->area(shape);
        checksum ^= (unsigned)shape->grow(shape, i & 31);
        checksum = states[state](checksum, &state);
    }
    return checksum;
}
