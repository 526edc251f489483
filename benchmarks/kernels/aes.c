/* AES-128 with look-up tables, n blocks chained: 16 table loads a round, many live values, byte extraction. */

typedef unsigned char u8;
typedef unsigned int u32;

static u8 sbox[256];
static u32 t0[256], t1[256], t2[256], t3[256];
static u32 key[44];

static u8 xtime(u8 x) { return (u8)((x << 1) ^ ((x >> 7) * 0x1B)); }
static u32 rotate(u32 x, int count) { return (x >> count) | (x << (32 - count)); }

static void make_tables(void) {
    u8 p = 1, q = 1;
    do { /* p runs through the field by multiplication with 3, q is its inverse */
        p = (u8)(p ^ xtime(p));
        q ^= (u8)(q << 1);
        q ^= (u8)(q << 2);
        q ^= (u8)(q << 4);
        if (q & 0x80)
            q ^= 0x09;
        u8 x = q ^ (u8)(q << 1 | q >> 7) ^ (u8)(q << 2 | q >> 6) ^ (u8)(q << 3 | q >> 5) ^ (u8)(q << 4 | q >> 4);
        sbox[p] = x ^ 0x63;
    } while (p != 1);
    sbox[0] = 0x63;
    for (int i = 0; i < 256; i++) {
        u8 s = sbox[i], s2 = xtime(s);
        u32 t = (u32)s2 << 24 | (u32)s << 16 | (u32)s << 8 | (u32)(u8)(s ^ s2);
        t0[i] = t;
        t1[i] = rotate(t, 8);
        t2[i] = rotate(t, 16);
        t3[i] = rotate(t, 24);
    }
}

static void expand_key(void) {
    u8 rcon = 1;
    for (u32 i = 0; i < 4; i++)
        key[i] = 0x2B7E1516u * (i + 1);
    for (int i = 4; i < 44; i++) {
        u32 x = key[i - 1];
        if (i % 4 == 0) {
            x = (u32)sbox[x >> 16 & 255] << 24 | (u32)sbox[x >> 8 & 255] << 16 | (u32)sbox[x & 255] << 8 | sbox[x >> 24];
            x ^= (u32)rcon << 24;
            rcon = xtime(rcon);
        }
        key[i] = key[i - 4] ^ x;
    }
}

#define MIX(a, b, c, d, k) (t0[(a) >> 24] ^ t1[(b) >> 16 & 255] ^ t2[(c) >> 8 & 255] ^ t3[(d) & 255] ^ (k))
#define LAST(a, b, c, d, k)                                                                                            \
    (((u32)sbox[(a) >> 24] << 24 | (u32)sbox[(b) >> 16 & 255] << 16 | (u32)sbox[(c) >> 8 & 255] << 8 |                 \
      (u32)sbox[(d) & 255]) ^ (k))

unsigned run(int n) {
    make_tables();
    expand_key();
    u32 a = 1, b = 2, c = 3, d = 4;
    for (int block = 0; block < n; block++) {
        a ^= key[0];
        b ^= key[1];
        c ^= key[2];
        d ^= key[3];
        const u32 *k = key + 4;
        for (int round = 0; round < 9; round++, k += 4) {
            u32 na = MIX(a, b, c, d, k[0]), nb = MIX(b, c, d, a, k[1]);
            u32 nc = MIX(c, d, a, b, k[2]), nd = MIX(d, a, b, c, k[3]);
            a = na;
            b = nb;
            c = nc;
            d = nd;
        }
        u32 na = LAST(a, b, c, d, k[0]), nb = LAST(b, c, d, a, k[1]);
        u32 nc = LAST(c, d, a, b, k[2]), nd = LAST(d, a, b, c, k[3]);
        a = na;
        b = nb;
        c = nc;
        d = nd;
    }
    return a ^ b ^ c ^ d;
}
