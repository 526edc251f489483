/* A small Lisp: integers, symbols, pairs, closures, tail calls.
 *
 *   lisp [FILE]        evaluate a file (or standard input) and print the value of each expression
 *
 * Special forms: quote if define lambda let begin. Functions: + - * quotient remainder < = eq? cons car cdr null?
 * pair? display newline. Memory is taken from an arena and never given back.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { NUMBER, SYMBOL, PAIR, PRIMITIVE, CLOSURE, NIL } Tag;
typedef struct Value Value;
struct Value {
    Tag tag;
    union {
        long long number;
        const char *name;
        struct {
            Value *car, *cdr;
        };
        Value *(*primitive)(Value *arguments);
        struct {
            Value *lambda, *environment; /* (parameters body...), list of (symbol . value) */
        };
    };
};

static Value nil = {NIL, {0}}, *symbols = &nil, *globals = &nil;
static Value *s_true, *s_quote, *s_if, *s_define, *s_lambda, *s_let, *s_begin;
static FILE *input;

static _Noreturn void fail(const char *message, const char *detail) {
    fprintf(stderr, "lisp: %s%s\n", message, detail);
    exit(1);
}

static Value *make(Tag tag) {
    static Value *free_values, *end;
    if (free_values == end) {
        free_values = malloc(65536 * sizeof(Value));
        if (!free_values)
            fail("out of memory", "");
        end = free_values + 65536;
    }
    free_values->tag = tag;
    return free_values++;
}

static Value *number(long long n) {
    Value *value = make(NUMBER);
    value->number = n;
    return value;
}

static Value *cons(Value *car, Value *cdr) {
    Value *value = make(PAIR);
    value->car = car;
    value->cdr = cdr;
    return value;
}

static Value *symbol(const char *name) {
    for (Value *list = symbols; list != &nil; list = list->cdr)
        if (strcmp(list->car->name, name) == 0)
            return list->car;
    Value *value = make(SYMBOL);
    value->name = strcpy(malloc(strlen(name) + 1), name);
    symbols = cons(value, symbols);
    return value;
}

static Value *car(Value *pair) {
    if (pair->tag != PAIR)
        fail("car or cdr of what is no pair", "");
    return pair->car;
}

static Value *cdr(Value *pair) {
    car(pair);
    return pair->cdr;
}

/* Reader */

static int next_character(void) {
    int c = getc(input);
    while (c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == ';') {
        if (c == ';')
            while (c != '\n' && c != EOF)
                c = getc(input);
        c = c == EOF ? EOF : getc(input);
    }
    return c;
}

static Value *read_value(int c);

static Value *read_list(void) {
    int c = next_character();
    if (c == ')')
        return &nil;
    Value *first = read_value(c);
    return cons(first, read_list());
}

static Value *read_value(int c) {
    if (c == EOF)
        fail("the text ends within an expression", "");
    if (c == '(')
        return read_list();
    if (c == '\'')
        return cons(s_quote, cons(read_value(next_character()), &nil));
    char token[64];
    size_t length = 0;
    for (; c != EOF && !strchr(" \n\t\r();'", c); c = getc(input))
        if (length < sizeof token - 1)
            token[length++] = (char)c;
    ungetc(c, input);
    token[length] = 0;
    char *end;
    long long n = strtoll(token, &end, 10);
    return *end == 0 ? number(n) : symbol(token);
}

static void print(Value *value) {
    switch (value->tag) {
    case NUMBER: printf("%lld", value->number); break;
    case SYMBOL: printf("%s", value->name); break;
    case NIL: printf("()"); break;
    case PAIR:
        for (const char *before = "("; value->tag == PAIR; value = value->cdr, before = " ") {
            printf("%s", before);
            print(value->car);
        }
        if (value != &nil) {
            printf(" . ");
            print(value);
        }
        printf(")");
        break;
    default: printf("<function>");
    }
}

/* Evaluator */

static Value *lookup(Value *name, Value *environment) {
    for (Value *list = environment; list != &nil; list = list->cdr)
        if (list->car->car == name)
            return list->car;
    for (Value *list = globals; list != &nil; list = list->cdr)
        if (list->car->car == name)
            return list->car;
    fail("undefined: ", name->name);
}

static Value *evaluate(Value *expression, Value *environment);

static Value *evaluate_all(Value *list, Value *environment) {
    if (list == &nil)
        return &nil;
    Value *first = evaluate(car(list), environment);
    return cons(first, evaluate_all(list->cdr, environment));
}

static Value *closure(Value *lambda, Value *environment) {
    Value *value = make(CLOSURE);
    value->lambda = lambda;
    value->environment = environment;
    return value;
}

static void define(Value *name, Value *value) { globals = cons(cons(name, value), globals); }

/* Evaluates all but the last expression of a body and returns that one, for the caller's loop. */
static Value *body(Value *list, Value *environment) {
    for (; cdr(list) != &nil; list = list->cdr)
        evaluate(list->car, environment);
    return list->car;
}

static Value *evaluate(Value *expression, Value *environment) {
    for (;;) {
        if (expression->tag == SYMBOL)
            return lookup(expression, environment)->cdr;
        if (expression->tag != PAIR)
            return expression;
        Value *head = expression->car, *rest = expression->cdr;
        if (head == s_quote)
            return car(rest);
        if (head == s_if) {
            int taken = evaluate(car(rest), environment) != &nil;
            Value *branches = cdr(rest);
            if (!taken && cdr(branches) == &nil)
                return &nil;
            expression = taken ? car(branches) : car(cdr(branches));
        } else if (head == s_lambda) {
            return closure(rest, environment);
        } else if (head == s_define && car(rest)->tag == PAIR) {
            define(rest->car->car, closure(cons(rest->car->cdr, rest->cdr), environment));
            return rest->car->car;
        } else if (head == s_define) {
            define(car(rest), evaluate(car(cdr(rest)), environment));
            return rest->car;
        } else if (head == s_let) {
            Value *inner = environment;
            for (Value *list = car(rest); list != &nil; list = list->cdr)
                inner = cons(cons(car(car(list)), evaluate(car(cdr(list->car)), environment)), inner);
            environment = inner;
            expression = body(rest->cdr, environment);
        } else if (head == s_begin) {
            expression = body(rest, environment);
        } else {
            Value *function = evaluate(head, environment), *arguments = evaluate_all(rest, environment);
            if (function->tag == PRIMITIVE)
                return function->primitive(arguments);
            if (function->tag != CLOSURE)
                fail("call of what is no function", "");
            environment = function->environment;
            for (Value *name = function->lambda->car; name != &nil; name = name->cdr, arguments = arguments->cdr)
                environment = cons(cons(car(name), car(arguments)), environment);
            expression = body(function->lambda->cdr, environment);
        }
    }
}

/* Primitives */

static long long integer(Value *value) {
    if (value->tag != NUMBER)
        fail("number expected", "");
    return value->number;
}
static Value *truth(int condition) { return condition ? s_true : &nil; }
static long long first(Value *a) { return integer(car(a)); }
static long long second(Value *a) { return integer(car(cdr(a))); }

static Value *p_add(Value *a) {
    long long sum = 0;
    for (; a != &nil; a = a->cdr)
        sum += integer(car(a));
    return number(sum);
}
static Value *p_subtract(Value *a) { return number(cdr(a) == &nil ? -first(a) : first(a) - second(a)); }
static Value *p_multiply(Value *a) {
    long long product = 1;
    for (; a != &nil; a = a->cdr)
        product *= integer(car(a));
    return number(product);
}
static Value *p_quotient(Value *a) { return number(first(a) / second(a)); }
static Value *p_remainder(Value *a) { return number(first(a) % second(a)); }
static Value *p_less(Value *a) { return truth(first(a) < second(a)); }
static Value *p_equal(Value *a) { return truth(first(a) == second(a)); }
static Value *p_eq(Value *a) { return truth(car(a) == car(cdr(a))); }
static Value *p_cons(Value *a) { return cons(car(a), car(cdr(a))); }
static Value *p_car(Value *a) { return car(car(a)); }
static Value *p_cdr(Value *a) { return cdr(car(a)); }
static Value *p_null(Value *a) { return truth(car(a) == &nil); }
static Value *p_pair(Value *a) { return truth(car(a)->tag == PAIR); }
static Value *p_display(Value *a) {
    print(car(a));
    return &nil;
}
static Value *p_newline(Value *a) {
    putchar('\n');
    return a;
}

static const struct {
    const char *name;
    Value *(*function)(Value *);
} primitives[] = {
    {"+", p_add},       {"-", p_subtract}, {"*", p_multiply}, {"quotient", p_quotient}, {"remainder", p_remainder},
    {"<", p_less},      {"=", p_equal},    {"eq?", p_eq},     {"cons", p_cons},         {"car", p_car},
    {"cdr", p_cdr},     {"null?", p_null}, {"pair?", p_pair}, {"display", p_display},   {"newline", p_newline},
};

int main(int argc, char **argv) {
    input = argc > 1 ? fopen(argv[1], "r") : stdin;
    if (!input)
        fail("cannot open ", argv[1]);
    s_true = symbol("t");
    s_quote = symbol("quote");
    s_if = symbol("if");
    s_define = symbol("define");
    s_lambda = symbol("lambda");
    s_let = symbol("let");
    s_begin = symbol("begin");
    define(s_true, s_true);
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++) {
        Value *value = make(PRIMITIVE);
        value->primitive = primitives[i].function;
        define(symbol(primitives[i].name), value);
    }
    for (int c; (c = next_character()) != EOF;) {
        Value *expression = read_value(c), *value = evaluate(expression, &nil);
        if (expression->tag != PAIR || expression->car != s_define) {
            print(value);
            putchar('\n');
        }
    }
    return 0;
}
