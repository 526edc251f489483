/* LZ77 with a hash table of positions, greedy matches; n KiB compressed, decompressed and compared. */

#define LIMIT (1 << 20)
#define HASH_BITS 14

static unsigned char input[LIMIT], packed[LIMIT * 2], output[LIMIT];
static int last_seen[1 << HASH_BITS];

static unsigned read32(const unsigned char *p) {
    unsigned value;
    __builtin_memcpy(&value, p, 4);
    return value;
}

/* A token: a count of literals (1 byte), the literals, the distance (2 bytes) and the length (1 byte) of a match. */
static int emit(int out, int first, int end, int distance, int size) {
    packed[out++] = (unsigned char)(end - first);
    for (int i = first; i < end; i++)
        packed[out++] = input[i];
    packed[out++] = (unsigned char)distance;
    packed[out++] = (unsigned char)(distance >> 8);
    packed[out++] = (unsigned char)size;
    return out;
}

static int compress(int length) {
    int out = 0, literals = 0, i = 0;
    for (int h = 0; h < 1 << HASH_BITS; h++)
        last_seen[h] = -1;
    while (i + 4 <= length) {
        unsigned word = read32(input + i), hash = word * 2654435761u >> (32 - HASH_BITS);
        int candidate = last_seen[hash], size = 0;
        last_seen[hash] = i;
        if (candidate >= 0 && candidate < i && i - candidate < 65536 && read32(input + candidate) == word) {
            size = 4;
            while (i + size < length && size < 255 && input[candidate + size] == input[i + size])
                size++;
        }
        if (size > 0 || i - literals == 255) {
            out = emit(out, literals, i, i - candidate, size);
            i += size;
            literals = i;
        } else {
            i++;
        }
    }
    for (; literals < length; literals = i) {
        i = length - literals < 255 ? length : literals + 255;
        out = emit(out, literals, i, 0, 0);
    }
    return out;
}

static int decompress(int length) {
    int out = 0, in = 0;
    while (in < length) {
        int count = packed[in++];
        for (int j = 0; j < count; j++)
            output[out++] = packed[in++];
        int distance = packed[in] | packed[in + 1] << 8, size = packed[in + 2];
        in += 3;
        for (int j = 0; j < size; j++, out++)
            output[out] = output[out - distance];
    }
    return out;
}

unsigned run(int n) {
    int length = n * 1024;
    unsigned state = 1;
    for (int i = 0; i < length; i++) {
        state = state * 1103515245u + 12345u;
        if (i > 300 && state >> 30)
            input[i] = input[i - 1 - (int)(i >> 5 & 255)];
        else
            input[i] = (unsigned char)("etaoin shrdlu,.\n"[state >> 26 & 15]);
    }
    int size = compress(length), back = decompress(size);
    unsigned checksum = (unsigned)size;
    for (int i = 0; i < length; i++)
        checksum = checksum * 33 + output[i] + (unsigned)(output[i] != input[i]) * 1000003u;
    return checksum + (unsigned)(back - length);
}
