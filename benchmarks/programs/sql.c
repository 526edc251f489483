// A job for SQLite in memory: tables filled, indexed, joined, aggregated, updated and searched. Standard output has the results.
//
//     sql ROWS
//
// Linked with the amalgamation of SQLite, built with SQLITE_OS_OTHER: there are no files, so the operating system is a stub.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
    (void)vfs, (void)name, (void)file, (void)flags, (void)out;
    return SQLITE_CANTOPEN;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync) {
    (void)vfs, (void)name, (void)sync;
    return SQLITE_IOERR_DELETE;
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
    (void)vfs, (void)name, (void)flags;
    *out = 0;
    return SQLITE_OK;
}

static int full_path(sqlite3_vfs *vfs, const char *name, int size, char *out) {
    (void)vfs;
    snprintf(out, (size_t)size, "%s", name);
    return SQLITE_OK;
}

static int randomness(sqlite3_vfs *vfs, int size, char *out) {
    (void)vfs;
    memset(out, 42, (size_t)size); // every run is the same
    return size;
}

static int sleep_for(sqlite3_vfs *vfs, int microseconds) {
    (void)vfs;
    return microseconds;
}

static int current_time(sqlite3_vfs *vfs, double *out) {
    (void)vfs;
    *out = 2451545; // noon of 1 January 2000
    return SQLITE_OK;
}

static sqlite3_vfs nothing = {
    .iVersion = 1,
    .szOsFile = sizeof(sqlite3_file),
    .mxPathname = 64,
    .zName = "nothing",
    .xOpen = open_file,
    .xDelete = delete_file,
    .xAccess = access_file,
    .xFullPathname = full_path,
    .xRandomness = randomness,
    .xSleep = sleep_for,
    .xCurrentTime = current_time,
};

int sqlite3_os_init(void) { return sqlite3_vfs_register(&nothing, 1); }
int sqlite3_os_end(void) { return SQLITE_OK; }

static sqlite3 *database;

static void check(int status) {
    if (status != SQLITE_OK && status != SQLITE_DONE && status != SQLITE_ROW) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(database));
        exit(1);
    }
}

static int print_row(void *data, int count, char **values, char **names) {
    (void)data, (void)names;
    for (int i = 0; i < count; i++)
        printf("%s%c", values[i] ? values[i] : "NULL", i + 1 < count ? '|' : '\n');
    return 0;
}

static void run(const char *sql) { check(sqlite3_exec(database, sql, print_row, NULL, NULL)); }

static uint32_t seed = 2024;

static uint32_t random_below(uint32_t limit) {
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)seed * limit >> 32);
}

static void fill(int rows) {
    static const char *const cities[] = {"Oslo", "Lima", "Pune", "Kyiv", "Quito", "Hobart", "Dakar", "Turin"};
    sqlite3_stmt *customer, *order;
    run("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT, credit REAL);"
        "CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER, day INTEGER, item TEXT, amount INTEGER, price REAL);"
        "BEGIN");
    check(sqlite3_prepare_v2(database, "INSERT INTO customer VALUES (?, ?, ?, ?)", -1, &customer, NULL));
    check(sqlite3_prepare_v2(database, "INSERT INTO purchase VALUES (?, ?, ?, ?, ?, ?)", -1, &order, NULL));
    for (int i = 0; i < rows / 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "%c%u-%d", 'A' + (int)random_below(26), (unsigned)random_below(100000), i);
        sqlite3_bind_int(customer, 1, i);
        sqlite3_bind_text(customer, 2, name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(customer, 3, cities[random_below(8)], -1, SQLITE_STATIC);
        sqlite3_bind_double(customer, 4, random_below(1000000) / 100.0);
        check(sqlite3_step(customer));
        check(sqlite3_reset(customer));
    }
    for (int i = 0; i < rows; i++) {
        char item[32];
        snprintf(item, sizeof item, "item %u", (unsigned)random_below(500));
        sqlite3_bind_int(order, 1, i);
        sqlite3_bind_int(order, 2, (int)random_below((uint32_t)rows / 10));
        sqlite3_bind_int(order, 3, (int)random_below(365));
        sqlite3_bind_text(order, 4, item, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int(order, 5, 1 + (int)random_below(9));
        sqlite3_bind_double(order, 6, random_below(10000) / 100.0);
        check(sqlite3_step(order));
        check(sqlite3_reset(order));
    }
    sqlite3_finalize(customer);
    sqlite3_finalize(order);
    run("COMMIT");
}

int main(int argc, char **argv) {
    int rows = argc > 1 ? atoi(argv[1]) : 1000;
    check(sqlite3_open(":memory:", &database));
    fill(rows);
    run("CREATE INDEX by_customer ON purchase (customer); CREATE INDEX by_item ON purchase (item, day)");
    run("SELECT city, count(*), round(sum(amount * price), 2) FROM purchase JOIN customer ON customer.id = purchase.customer"
        " GROUP BY city ORDER BY 3 DESC");
    run("SELECT item, sum(amount) AS sold FROM purchase WHERE day BETWEEN 90 AND 180 GROUP BY item ORDER BY sold DESC, item LIMIT 5");
    run("SELECT count(*), min(name), max(length(name)) FROM customer WHERE name LIKE '%7%9%' OR city GLOB 'Q*'");
    run("SELECT day, total, round(avg(total) OVER (ORDER BY day ROWS 6 PRECEDING), 3) FROM"
        " (SELECT day, sum(amount) AS total FROM purchase GROUP BY day) ORDER BY day DESC LIMIT 5");
    run("WITH RECURSIVE step(n, x) AS (SELECT 1, 27 UNION ALL SELECT n + 1, CASE x % 2 WHEN 0 THEN x / 2 ELSE 3 * x + 1 END"
        " FROM step WHERE x > 1) SELECT count(*), max(x) FROM step");
    run("SELECT count(*) FROM customer AS c WHERE credit < (SELECT sum(amount * price) FROM purchase WHERE customer = c.id)");
    run("UPDATE purchase SET price = price * 1.1 WHERE item IN (SELECT item FROM purchase GROUP BY item HAVING count(*) % 3 = 0);"
        "DELETE FROM purchase WHERE day % 7 = 3;"
        "SELECT count(*), round(sum(price), 2), group_concat(DISTINCT amount) FROM (SELECT * FROM purchase ORDER BY amount)");
    run("PRAGMA integrity_check");
    check(sqlite3_close(database));
    return 0;
}
