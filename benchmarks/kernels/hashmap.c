/* An open-addressing hash table of 64-bit keys: n inserts, look-ups and counts. */

#define BITS 17
#define SLOTS (1 << BITS)

typedef unsigned long long u64;

static u64 keys[SLOTS];
static unsigned counts[SLOTS];

static unsigned slot_of(u64 key) {
    unsigned slot = (unsigned)(key * 0x9E3779B97F4A7C15ull >> (64 - BITS));
    while (keys[slot] != 0 && keys[slot] != key)
        slot = (slot + 1) & (SLOTS - 1);
    return slot;
}

unsigned run(int n) {
    for (int i = 0; i < SLOTS; i++) {
        keys[i] = 0;
        counts[i] = 0;
    }
    u64 state = 1;
    for (int i = 0; i < n; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        u64 key = (state >> 48) + 1;
        unsigned slot = slot_of(key);
        keys[slot] = key;
        counts[slot]++;
    }
    unsigned checksum = 0;
    for (u64 key = 1; key < 65536; key += 3)
        checksum = checksum * 31 + counts[slot_of(key)];
    return checksum;
}
