/* An interpreter of a small register machine: a loop around a switch (br_table). Runs a program of n iterations. */

enum { LOADI, ADD, SUB, MUL, XOR, SHR, AND, JNZ, STORE, LOAD, DEC, HALT };

typedef struct {
    unsigned char op, a, b, c;
    int imm;
} Instruction;

static unsigned registers[16], memory[256];

static const Instruction program[] = {
    {LOADI, 1, 0, 0, 0x1234567}, {LOADI, 2, 0, 0, 1}, {LOADI, 3, 0, 0, 255}, {LOADI, 8, 0, 0, 13},
    /* 4: loop */
    {MUL, 4, 1, 2, 0}, {ADD, 4, 4, 8, 0}, {SHR, 5, 4, 0, 7}, {XOR, 1, 4, 5, 0}, {AND, 6, 1, 3, 0},
    {LOAD, 7, 6, 0, 0}, {ADD, 7, 7, 1, 0}, {STORE, 7, 6, 0, 0}, {ADD, 2, 2, 7, 0}, {SUB, 9, 2, 5, 0},
    {JNZ, 9, 0, 0, 16}, {ADD, 8, 8, 3, 0},
    /* 16 */
    {DEC, 0, 0, 0, 0}, {JNZ, 0, 0, 0, 4}, {HALT, 0, 0, 0, 0},
};

static void execute(const Instruction *code) {
    unsigned pc = 0;
    for (;;) {
        const Instruction *i = &code[pc++];
        unsigned *r = registers;
        switch (i->op) {
        case LOADI: r[i->a] = (unsigned)i->imm; break;
        case ADD: r[i->a] = r[i->b] + r[i->c]; break;
        case SUB: r[i->a] = r[i->b] - r[i->c]; break;
        case MUL: r[i->a] = r[i->b] * r[i->c]; break;
        case XOR: r[i->a] = r[i->b] ^ r[i->c]; break;
        case SHR: r[i->a] = r[i->b] >> i->imm; break;
        case AND: r[i->a] = r[i->b] & r[i->c]; break;
        case JNZ: if (r[i->a]) pc = (unsigned)i->imm; break;
        case STORE: memory[r[i->b] & 255] = r[i->a]; break;
        case LOAD: r[i->a] = memory[r[i->b] & 255]; break;
        case DEC: r[i->a]--; break;
        default: return;
        }
    }
}

unsigned run(int n) {
    for (int i = 0; i < 256; i++)
        memory[i] = (unsigned)i;
    registers[0] = (unsigned)n;
    execute(program);
    unsigned checksum = registers[1] ^ registers[2];
    for (int i = 0; i < 256; i++)
        checksum = checksum * 31 + memory[i];
    return checksum;
}
