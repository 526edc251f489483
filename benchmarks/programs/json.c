// A JSON job: a document is made, parsed into a tree, its objects sorted by key, numbers summed up, printed, and parsed again.
//
//     json RECORDS REPETITIONS
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { NIL, FALSE, TRUE, NUMBER, STRING, ARRAY, OBJECT } Kind;

typedef struct Value {
    Kind kind;
    uint32_t length; // of a string in bytes; children of an array or object
    union {
        double number;
        const char *string;
        struct Value *children; // of an object: keys and values in turn
    };
} Value;

// Memory that is given back all at once.
static char *arena;
static size_t arena_used, arena_size;

static void *reserve(size_t size) {
    size = (size + 7) & ~(size_t)7;
    if (arena_used + size > arena_size)
        abort();
    arena_used += size;
    return arena + arena_used - size;
}

typedef struct {
    const char *at, *end;
    Value stack[4096]; // children of the arrays and objects that are not complete
    uint32_t top;
} Parser;

static void fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    exit(1);
}

static void skip_space(Parser *parser) {
    while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\n' || *parser->at == '\t' || *parser->at == '\r'))
        parser->at++;
}

static int hexadecimal(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *put_utf8(char *out, unsigned code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 63));
    } else {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    }
    return out;
}

static Value parse_string(Parser *parser) {
    const char *start = ++parser->at, *p = start;
    while (p < parser->end && *p != '"' && *p != '\\')
        p++;
    if (p < parser->end && *p == '"') { // nothing to decode: the text is the string
        parser->at = p + 1;
        return (Value){.kind = STRING, .length = (uint32_t)(p - start), .string = start};
    }
    const char *end = p;
    while (end < parser->end && *end != '"')
        end += 1 + (*end == '\\');
    char *text = reserve((size_t)(end - start)), *out = text;
    for (p = start; *p != '"';) {
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        char c = p[1];
        p += 2;
        if (c == 'u') {
            unsigned code = 0;
            for (int i = 0; i < 4; i++)
                code = code << 4 | (unsigned)hexadecimal(*p++);
            out = put_utf8(out, code);
        } else {
            *out++ = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
        }
    }
    parser->at = p + 1;
    return (Value){.kind = STRING, .length = (uint32_t)(out - text), .string = text};
}

static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static Value parse_number(Parser *parser) {
    const char *p = parser->at, *start = p;
    int negative = *p == '-', decimals = 0;
    uint64_t digits = 0;
    p += negative;
    for (; *p >= '0' && *p <= '9'; p++)
        digits = digits * 10 + (uint64_t)(*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, decimals++)
            digits = digits * 10 + (uint64_t)(*p - '0');
    double number = (double)digits;
    if (*p == 'e' || *p == 'E' || p - start > 17) {
        char *end;
        number = strtod(start, &end); // the hard cases
        negative = 0;
        p = end;
    } else {
        number /= powers[decimals];
    }
    parser->at = p;
    return (Value){.kind = NUMBER, .number = negative ? -number : number};
}

static Value parse(Parser *parser);

static Value parse_children(Parser *parser, Kind kind, char close) {
    uint32_t base = parser->top;
    parser->at++;
    skip_space(parser);
    while (*parser->at != close) {
        if (parser->top + 2 > sizeof parser->stack / sizeof *parser->stack)
            fail("too many children");
        if (kind == OBJECT) {
            parser->stack[parser->top++] = parse_string(parser);
            skip_space(parser);
            if (*parser->at++ != ':')
                fail("a colon is missing");
        }
        Value value = parse(parser);
        parser->stack[parser->top++] = value;
        skip_space(parser);
        if (*parser->at == ',') {
            parser->at++;
            skip_space(parser);
        } else if (*parser->at != close) {
            fail("a comma is missing");
        }
    }
    parser->at++;
    uint32_t length = parser->top - base;
    Value *children = reserve(length * sizeof *children);
    memcpy(children, parser->stack + base, length * sizeof *children);
    parser->top = base;
    return (Value){.kind = kind, .length = length, .children = children};
}

static Value parse_word(Parser *parser, const char *word, Kind kind) {
    size_t length = strlen(word);
    if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length))
        fail("unknown word");
    parser->at += length;
    return (Value){.kind = kind};
}

static Value parse(Parser *parser) {
    skip_space(parser);
    switch (*parser->at) {
    case '{': return parse_children(parser, OBJECT, '}');
    case '[': return parse_children(parser, ARRAY, ']');
    case '"': return parse_string(parser);
    case 't': return parse_word(parser, "true", TRUE);
    case 'f': return parse_word(parser, "false", FALSE);
    case 'n': return parse_word(parser, "null", NIL);
    default: return parse_number(parser);
    }
}

static int compare_keys(const void *a, const void *b) {
    const Value *x = a, *y = b;
    uint32_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->string, y->string, shorter);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

// Sort the objects by key. Returns the sum of all numbers.
static double visit(Value *value) {
    double sum = 0;
    if (value->kind == NUMBER)
        return value->number;
    if (value->kind == OBJECT)
        qsort(value->children, value->length / 2, 2 * sizeof(Value), compare_keys);
    if (value->kind == OBJECT || value->kind == ARRAY)
        for (uint32_t i = 0; i < value->length; i++)
            sum += visit(&value->children[i]);
    return sum;
}

static char *print_integer(char *out, uint64_t value, int width) {
    char digits[20];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) || count < width);
    while (count)
        *out++ = digits[--count];
    return out;
}

// At most six decimals, and no more than needed.
static char *print_number(char *out, double number) {
    if (number < 0) {
        *out++ = '-';
        number = -number;
    }
    uint64_t scaled = (uint64_t)(number * 1e6 + 0.5), fraction = scaled % 1000000;
    out = print_integer(out, scaled / 1000000, 1);
    if (fraction) {
        int width = 6;
        for (; fraction % 10 == 0; width--)
            fraction /= 10;
        *out++ = '.';
        out = print_integer(out, fraction, width);
    }
    return out;
}

static char *print_string(char *out, const Value *value) {
    *out++ = '"';
    for (uint32_t i = 0; i < value->length; i++) {
        char c = value->string[i];
        if (c == '"' || c == '\\') {
            *out++ = '\\';
            *out++ = c;
        } else if ((unsigned char)c < ' ') {
            memcpy(out, c == '\n' ? "\\n" : "\\t", 2);
            out += 2;
        } else {
            *out++ = c;
        }
    }
    *out++ = '"';
    return out;
}

static char *print(char *out, const Value *value) {
    static const char *const words[] = {"null", "false", "true"};
    switch (value->kind) {
    case NUMBER: return print_number(out, value->number);
    case STRING: return print_string(out, value);
    case ARRAY:
    case OBJECT:
        *out++ = value->kind == ARRAY ? '[' : '{';
        for (uint32_t i = 0; i < value->length; i++) {
            if (i)
                *out++ = value->kind == OBJECT && i & 1 ? ':' : ',';
            out = print(out, &value->children[i]);
        }
        *out++ = value->kind == ARRAY ? ']' : '}';
        return out;
    default: return stpcpy(out, words[value->kind]);
    }
}

static size_t make_document(char *out, int records) {
    char *start = out;
    uint32_t random = 99;
    *out++ = '[';
    for (int i = 0; i < records; i++) {
        random = random * 1664525 + 1013904223;
        out += sprintf(out, "%s\n  {\"name\": \"user %u\", \"id\": %d, \"active\": %s, \"balance\": %s%u.%02u,\n", i ? "," : "",
                       (unsigned)random >> 12, i, random & 64 ? "true" : "false", random & 128 ? "-" : "",
                       (unsigned)random >> 18, (unsigned)(random >> 9) % 100);
        out += sprintf(out, "   \"text\": \"%s \\\"quoted\\\" \\u00e9\\u4e2d\\n%08x\", \"manager\": %s,\n", random & 256 ? "plain" : "tab\\t",
                       (unsigned)(random * 31), random & 3 ? "null" : "{\"id\": 7, \"city\": \"Lima\"}");
        out += sprintf(out, "   \"scores\": [%u, %u.5, -%u, 1.%ue-2], \"address\": {\"zip\": \"%05u\", \"lines\": [\"a\", \"b\", {}]}}",
                       (unsigned)random >> 25, (unsigned)random >> 22, (unsigned)random >> 28, (unsigned)random >> 30,
                       (unsigned)random >> 16);
    }
    *out++ = ']';
    return (size_t)(out - start);
}

int main(int argc, char **argv) {
    static Parser parser;
    int records = argc > 1 ? atoi(argv[1]) : 100, repetitions = argc > 2 ? atoi(argv[2]) : 1;
    size_t room = (size_t)records * 512 + 64;
    char *document = malloc(room), *printed = malloc(room), *again = malloc(room);
    if (records > 4000)
        fail("at most 4000 records"); // the parser's stack holds the children of the outermost array
    arena_size = (size_t)records * 4096 + 65536;
    arena = malloc(arena_size);
    size_t size = make_document(document, records);
    for (int i = 0; i < repetitions; i++) {
        arena_used = 0;
        parser = (Parser){.at = document, .end = document + size};
        Value tree = parse(&parser);
        double sum = visit(&tree);
        size_t length = (size_t)(print(printed, &tree) - printed);
        parser = (Parser){.at = printed, .end = printed + length};
        tree = parse(&parser);
        if ((size_t)(print(again, &tree) - again) != length || memcmp(printed, again, length))
            fail("printed differently the second time");
        uint32_t check = 1;
        for (size_t j = 0; j < length; j++)
            check = check * 31 + (unsigned char)printed[j];
        if (i == repetitions - 1)
            printf("%zu bytes, printed %zu, sum %.3f, check %08x\n", size, length, sum, check);
    }
    return 0;
}
