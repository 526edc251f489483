// A ray tracer: spheres over a chequered floor, two lights, shadows, reflections; supersampled.
//
//     raytrace WIDTH SAMPLES      writes WIDTH x WIDTH pixels as PPM to standard output
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    double x, y, z;
} Vec;

typedef struct {
    Vec centre, colour;
    double radius, shine, mirror;
} Sphere;

typedef struct {
    Vec point, normal, colour;
    double shine, mirror;
} Hit;

enum { SPHERES = 27, DEPTH = 4 };

static Sphere spheres[SPHERES];
static const Vec lights[] = {{-6, 9, -6}, {7, 6, -3}};

static Vec add(Vec a, Vec b) { return (Vec){a.x + b.x, a.y + b.y, a.z + b.z}; }
static Vec subtract(Vec a, Vec b) { return (Vec){a.x - b.x, a.y - b.y, a.z - b.z}; }
static Vec scale(Vec a, double k) { return (Vec){a.x * k, a.y * k, a.z * k}; }
static Vec multiply(Vec a, Vec b) { return (Vec){a.x * b.x, a.y * b.y, a.z * b.z}; }
static double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static Vec unit(Vec a) { return scale(a, 1 / sqrt(dot(a, a))); }

static void make_scene(void) {
    for (int i = 0; i < SPHERES; i++) {
        int x = i % 3 - 1, y = i / 3 % 3, z = i / 9;
        spheres[i] = (Sphere){
            .centre = {1.7 * x + 0.3 * z, 0.7 + 1.4 * y, 1.5 * z + 0.4 * y},
            .colour = {0.35 + 0.3 * (x + 1), 0.9 - 0.3 * y, 0.3 + 0.3 * z},
            .radius = 0.45 + 0.08 * ((i * 7) % 4),
            .shine = 8 << i % 5,
            .mirror = 0.15 * (i % 4),
        };
    }
}

// Distance to the sphere along a ray of unit direction, or a negative number.
static double distance(const Sphere *sphere, Vec origin, Vec direction) {
    Vec to = subtract(sphere->centre, origin);
    double along = dot(to, direction);
    double square = sphere->radius * sphere->radius - (dot(to, to) - along * along);
    if (square < 0)
        return -1;
    double half = sqrt(square);
    return along - half > 1e-6 ? along - half : along + half > 1e-6 ? along + half : -1;
}

static int trace(Vec origin, Vec direction, Hit *hit) {
    double nearest = INFINITY;
    const Sphere *found = NULL;
    for (int i = 0; i < SPHERES; i++) {
        double d = distance(&spheres[i], origin, direction);
        if (d > 0 && d < nearest) {
            nearest = d;
            found = &spheres[i];
        }
    }
    double floor_distance = direction.y < -1e-9 ? -origin.y / direction.y : -1;
    if (floor_distance > 1e-6 && floor_distance < nearest) {
        hit->point = add(origin, scale(direction, floor_distance));
        hit->normal = (Vec){0, 1, 0};
        int odd = ((int)floor(hit->point.x) + (int)floor(hit->point.z)) & 1;
        hit->colour = odd ? (Vec){0.9, 0.9, 0.85} : (Vec){0.15, 0.15, 0.2};
        hit->shine = 4;
        hit->mirror = 0.1;
        return 1;
    }
    if (!found)
        return 0;
    hit->point = add(origin, scale(direction, nearest));
    hit->normal = unit(subtract(hit->point, found->centre));
    hit->colour = found->colour;
    hit->shine = found->shine;
    hit->mirror = found->mirror;
    return 1;
}

static int in_shadow(Vec point, Vec direction, double limit) {
    for (int i = 0; i < SPHERES; i++) {
        double d = distance(&spheres[i], point, direction);
        if (d > 0 && d < limit)
            return 1;
    }
    return 0;
}

static double power(double base, double exponent) {
    double result = 1; // the exponents are powers of two
    for (; exponent > 1; exponent /= 2)
        base *= base;
    return result * base;
}

static Vec colour(Vec origin, Vec direction, int depth) {
    Hit hit;
    if (!trace(origin, direction, &hit)) {
        double up = 0.5 * (direction.y + 1);
        return (Vec){1 - 0.5 * up, 1 - 0.3 * up, 1};
    }
    Vec result = scale(hit.colour, 0.15), point = add(hit.point, scale(hit.normal, 1e-6));
    Vec reflected = subtract(direction, scale(hit.normal, 2 * dot(direction, hit.normal)));
    for (unsigned i = 0; i < sizeof lights / sizeof *lights; i++) {
        Vec to = subtract(lights[i], point);
        double length = sqrt(dot(to, to)), facing;
        to = scale(to, 1 / length);
        facing = dot(to, hit.normal);
        if (facing <= 0 || in_shadow(point, to, length))
            continue;
        result = add(result, scale(hit.colour, 0.55 * facing));
        double glare = dot(reflected, to);
        if (glare > 0)
            result = add(result, scale((Vec){1, 1, 1}, 0.3 * power(glare, hit.shine)));
    }
    if (depth && hit.mirror > 0) {
        Vec seen = colour(point, reflected, depth - 1);
        result = add(scale(result, 1 - hit.mirror), scale(multiply(seen, (Vec){1, 0.98, 0.96}), hit.mirror));
    }
    return result;
}

static uint8_t channel(double value) {
    return value <= 0 ? 0 : value >= 1 ? 255 : (uint8_t)(sqrt(value) * 255 + 0.5);
}

int main(int argc, char **argv) {
    int width = argc > 1 ? atoi(argv[1]) : 64, samples = argc > 2 ? atoi(argv[2]) : 1;
    uint8_t *row = malloc(3 * width);
    Vec eye = {-1.2, 3.1, -7};
    make_scene();
    printf("P6\n%d %d\n255\n", width, width);
    for (int y = 0; y < width; y++) {
        for (int x = 0; x < width; x++) {
            Vec sum = {0, 0, 0};
            for (int s = 0; s < samples * samples; s++) {
                double u = (x + (s % samples + 0.5) / samples) / width * 2 - 1;
                double v = (y + (s / samples + 0.5) / samples) / width * 2 - 1;
                sum = add(sum, colour(eye, unit((Vec){u * 0.6 + 0.15, -v * 0.6 - 0.15, 1}), DEPTH));
            }
            sum = scale(sum, 1.0 / (samples * samples));
            row[3 * x] = channel(sum.x);
            row[3 * x + 1] = channel(sum.y);
            row[3 * x + 2] = channel(sum.z);
        }
        fwrite(row, 3, width, stdout);
    }
    return 0;
}
