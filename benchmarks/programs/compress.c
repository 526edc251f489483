// A compressor in the manner of deflate: LZ77 with hash chains and lazy matching, canonical Huffman codes of up to 15 bits.
//
//     compress KILOBYTES REPETITIONS      compresses text that it makes itself, decompresses it and compares
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 32768,
    HASH_BITS = 15,
    MIN_MATCH = 3,
    MAX_MATCH = 258,
    CHAIN = 64, // candidates looked at for a match
    END = 256,  // the symbol that ends the data
    LENGTHS = 29,
    SYMBOLS = END + 1 + LENGTHS,
    DISTANCES = 30,
    MAX_BITS = 15,
};

typedef struct {
    uint8_t *bytes;
    size_t size;
    uint64_t bits;
    unsigned count;
} Bits;

typedef struct {
    uint16_t length; // of a match; 1: a literal
    uint16_t value;  // distance, or literal
} Token;

typedef struct {
    uint16_t code[SYMBOLS];
    uint8_t size[SYMBOLS];
} Code;

static uint16_t length_base[LENGTHS], distance_base[DISTANCES];
static uint8_t length_extra[LENGTHS], distance_extra[DISTANCES];
static uint8_t length_symbol[MAX_MATCH + 1];

static void make_tables(void) {
    unsigned base = MIN_MATCH;
    for (int i = 0; i < LENGTHS; i++) {
        length_extra[i] = i < 8 ? 0 : (i - 4) / 4;
        length_base[i] = base;
        for (unsigned j = 0; j < 1u << length_extra[i] && base + j <= MAX_MATCH; j++)
            length_symbol[base + j] = i;
        base += 1u << length_extra[i];
    }
    base = 1;
    for (int i = 0; i < DISTANCES; i++) {
        distance_extra[i] = i < 4 ? 0 : (i - 2) / 2;
        distance_base[i] = base;
        base += 1u << distance_extra[i];
    }
}

static int distance_symbol(unsigned distance) {
    if (distance <= 4)
        return distance - 1;
    unsigned extra = 30 - __builtin_clz(distance - 1);
    return 2 * extra + 2 + ((distance - 1) >> extra & 1);
}

static void put(Bits *out, unsigned value, unsigned count) {
    out->bits |= (uint64_t)value << out->count;
    out->count += count;
    while (out->count >= 8) {
        out->bytes[out->size++] = (uint8_t)out->bits;
        out->bits >>= 8;
        out->count -= 8;
    }
}

static unsigned take(Bits *in, unsigned count) {
    while (in->count < count) {
        in->bits |= (uint64_t)in->bytes[in->size++] << in->count;
        in->count += 8;
    }
    unsigned value = (unsigned)(in->bits & ((1u << count) - 1));
    in->bits >>= count;
    in->count -= count;
    return value;
}

// Sizes of the codes by the two-queue method over sorted symbols; counts are halved until no code is too long.
static int compare_counts(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void code_sizes(const uint32_t *counts, int n, uint8_t *sizes) {
    uint32_t scaled[SYMBOLS];
    memcpy(scaled, counts, n * sizeof *scaled);
    for (;;) {
        uint64_t sorted[SYMBOLS];
        uint32_t weight[2 * SYMBOLS];
        int parent[2 * SYMBOLS], depth[2 * SYMBOLS], used = 0, longest = 0;
        for (int i = 0; i < n; i++)
            if (scaled[i])
                sorted[used++] = (uint64_t)scaled[i] << 16 | i;
        memset(sizes, 0, n);
        if (used < 2) {
            if (used)
                sizes[sorted[0] & 0xffff] = 1;
            return;
        }
        qsort(sorted, used, sizeof *sorted, compare_counts);
        for (int i = 0; i < used; i++)
            weight[i] = (uint32_t)(sorted[i] >> 16);
        int leaf = 0, inner = used, last = used;
        for (; last < 2 * used - 1; last++) {
            uint32_t sum = 0;
            for (int k = 0; k < 2; k++) {
                int child = leaf < used && (inner == last || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
                parent[child] = last;
                sum += weight[child];
            }
            weight[last] = sum;
        }
        depth[last - 1] = 0;
        for (int i = last - 2; i >= 0; i--) {
            depth[i] = depth[parent[i]] + 1;
            if (i < used) {
                sizes[sorted[i] & 0xffff] = depth[i];
                if (depth[i] > longest)
                    longest = depth[i];
            }
        }
        if (longest <= MAX_BITS)
            return;
        for (int i = 0; i < n; i++)
            scaled[i] = (scaled[i] + 1) / 2;
    }
}

static void assign_codes(Code *code, int n) {
    unsigned next = 0;
    for (int size = 1; size <= MAX_BITS; size++, next <<= 1)
        for (int i = 0; i < n; i++)
            if (code->size[i] == size) {
                unsigned reversed = 0, value = next++;
                for (int bit = 0; bit < size; bit++, value >>= 1)
                    reversed = reversed << 1 | (value & 1);
                code->code[i] = reversed;
            }
}

static unsigned hash(const uint8_t *p) {
    return ((p[0] | p[1] << 8 | p[2] << 16) * 2654435761u) >> (32 - HASH_BITS);
}

static int head[1 << HASH_BITS], previous[WINDOW];

static unsigned longest_match(const uint8_t *data, int at, int size, unsigned best, unsigned *distance) {
    int limit = size - at < MAX_MATCH ? size - at : MAX_MATCH, found = (int)best;
    int oldest = at > WINDOW ? at - WINDOW : 0, candidate = head[hash(data + at)];
    for (int tries = CHAIN; tries && candidate > oldest && found < limit; tries--) {
        const uint8_t *a = data + candidate - 1, *b = data + at;
        if (a[found] == b[found]) {
            int length = 0;
            while (length < limit && a[length] == b[length])
                length++;
            if (length > found) {
                found = length;
                *distance = (unsigned)(at - candidate + 1);
            }
        }
        candidate = previous[(candidate - 1) & (WINDOW - 1)];
    }
    return (unsigned)found;
}

static void insert(const uint8_t *data, int at, int size) {
    if (at + MIN_MATCH <= size) {
        unsigned slot = hash(data + at);
        previous[at & (WINDOW - 1)] = head[slot];
        head[slot] = at + 1;
    }
}

static int tokenise(const uint8_t *data, int size, Token *tokens) {
    int count = 0;
    memset(head, 0, sizeof head);
    for (int at = 0; at < size;) {
        unsigned distance = 0, next_distance = 0, length = 0;
        if (at + MIN_MATCH < size)
            length = longest_match(data, at, size, MIN_MATCH - 1, &distance);
        insert(data, at, size);
        if (distance && length < 32 && at + MIN_MATCH + 1 < size)
            longest_match(data, at + 1, size, length, &next_distance); // is there a longer one a byte later?
        if (!distance || next_distance) {
            tokens[count++] = (Token){1, data[at++]};
            continue;
        }
        tokens[count++] = (Token){(uint16_t)length, (uint16_t)distance};
        for (unsigned i = 1; i < length; i++)
            insert(data, at + (int)i, size);
        at += (int)length;
    }
    return count;
}

static size_t compress(const uint8_t *data, int size, Token *tokens, uint8_t *output) {
    int count = tokenise(data, size, tokens);
    uint32_t symbols[SYMBOLS] = {0}, distances[DISTANCES] = {0};
    for (int i = 0; i < count; i++)
        if (tokens[i].length == 1) {
            symbols[tokens[i].value]++;
        } else {
            symbols[END + 1 + length_symbol[tokens[i].length]]++;
            distances[distance_symbol(tokens[i].value)]++;
        }
    symbols[END]++;
    Code literal, distance;
    code_sizes(symbols, SYMBOLS, literal.size);
    code_sizes(distances, DISTANCES, distance.size);
    assign_codes(&literal, SYMBOLS);
    assign_codes(&distance, DISTANCES);
    Bits out = {output, 0, 0, 0};
    for (int i = 0; i < SYMBOLS; i++)
        put(&out, literal.size[i], 4);
    for (int i = 0; i < DISTANCES; i++)
        put(&out, distance.size[i], 4);
    for (int i = 0; i < count; i++) {
        unsigned length = tokens[i].length, value = tokens[i].value;
        if (length == 1) {
            put(&out, literal.code[value], literal.size[value]);
            continue;
        }
        int s = length_symbol[length], d = distance_symbol(value);
        put(&out, literal.code[END + 1 + s], literal.size[END + 1 + s]);
        put(&out, length - length_base[s], length_extra[s]);
        put(&out, distance.code[d], distance.size[d]);
        put(&out, value - distance_base[d], distance_extra[d]);
    }
    put(&out, literal.code[END], literal.size[END]);
    put(&out, 0, 7);
    return out.size;
}

// By the number of codes of each size: the canonical order makes a table unnecessary.
typedef struct {
    uint16_t counts[MAX_BITS + 1], symbols[SYMBOLS];
} Decoder;

static void make_decoder(Decoder *decoder, const uint8_t *sizes, int n) {
    uint16_t places[MAX_BITS + 2] = {0};
    memset(decoder->counts, 0, sizeof decoder->counts);
    for (int i = 0; i < n; i++)
        decoder->counts[sizes[i]]++;
    decoder->counts[0] = 0;
    for (int size = 1; size <= MAX_BITS; size++)
        places[size + 1] = places[size] + decoder->counts[size];
    for (int i = 0; i < n; i++)
        if (sizes[i])
            decoder->symbols[places[sizes[i]]++] = i;
}

static int decode(const Decoder *decoder, Bits *in) {
    int code = 0, first = 0, index = 0;
    for (int size = 1; size <= MAX_BITS; size++) {
        code |= (int)take(in, 1);
        int count = decoder->counts[size];
        if (code - first < count)
            return decoder->symbols[index + code - first];
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    abort();
}

static size_t decompress(uint8_t *input, uint8_t *output) {
    Bits in = {input, 0, 0, 0};
    uint8_t sizes[SYMBOLS];
    Decoder literal, distance;
    for (int i = 0; i < SYMBOLS; i++)
        sizes[i] = take(&in, 4);
    make_decoder(&literal, sizes, SYMBOLS);
    for (int i = 0; i < DISTANCES; i++)
        sizes[i] = take(&in, 4);
    make_decoder(&distance, sizes, DISTANCES);
    for (size_t at = 0;;) {
        int symbol = decode(&literal, &in);
        if (symbol == END)
            return at;
        if (symbol < END) {
            output[at++] = symbol;
            continue;
        }
        symbol -= END + 1;
        unsigned length = length_base[symbol] + take(&in, length_extra[symbol]);
        int d = decode(&distance, &in);
        size_t from = at - (distance_base[d] + take(&in, distance_extra[d]));
        for (unsigned i = 0; i < length; i++)
            output[at++] = output[from++];
    }
}

// Words from a vocabulary with a steep distribution, numbers and punctuation.
static void make_text(uint8_t *text, int size) {
    uint32_t random = 12345;
    for (int at = 0; at < size;) {
        random = random * 1664525 + 1013904223;
        uint32_t rank = (random >> 16) * (random >> 24) * (random >> 28) >> 17, state = rank * 2654435761u + 7;
        int letters = 2 + (int)(state >> 29);
        for (int i = 0; i < letters && at < size; i++, state = state * 69069 + 1)
            text[at++] = "etaoinshrdlucmfwypvbgkjqxz0123456789"[(state >> 20) % (26 + (rank % 11 == 0) * 10)];
        if (at < size)
            text[at++] = random >> 13 & 15 ? ' ' : '\n';
    }
}

int main(int argc, char **argv) {
    int size = (argc > 1 ? atoi(argv[1]) : 64) * 1024, repetitions = argc > 2 ? atoi(argv[2]) : 1;
    uint8_t *text = malloc(size), *packed = malloc(2 * size + 1024), *unpacked = malloc(size);
    Token *tokens = malloc(size * sizeof *tokens);
    make_tables();
    make_text(text, size);
    for (int i = 0; i < repetitions; i++) {
        text[(size_t)i * 977 % size] ^= 1;
        size_t packed_size = compress(text, size, tokens, packed);
        size_t unpacked_size = decompress(packed, unpacked);
        uint32_t check = 1;
        for (size_t j = 0; j < packed_size; j++)
            check = check * 31 + packed[j];
        printf("%d bytes, packed %zu, check %08x\n", size, packed_size, check);
        if (unpacked_size != (size_t)size || memcmp(text, unpacked, size))
            return 1;
    }
    return 0;
}
