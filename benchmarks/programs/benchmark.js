// What interpreters of JavaScript are used for, in little pieces; the checksum says whether they were right.
"use strict";

function random(seed) {
    return () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0);
}

const jobs = {
    sieve(n) {
        const composite = new Uint8Array(n + 1);
        let count = 0;
        for (let i = 2; i <= n; i++) {
            if (composite[i]) continue;
            count++;
            for (let j = i * i; j <= n; j += i) composite[j] = 1;
        }
        return count;
    },
    bodies(n) {
        class Body {
            constructor(x, v, m) {
                this.x = x;
                this.v = v;
                this.m = m;
            }
            move(dt) {
                this.x += this.v * dt;
            }
        }
        const bodies = [new Body(0, 0.1, 10), new Body(3, -0.4, 1), new Body(-5, 0.3, 2), new Body(8, 0.0, 0.5)];
        for (let step = 0; step < n; step++) {
            for (const a of bodies)
                for (const b of bodies) {
                    if (a === b) continue;
                    const d = b.x - a.x;
                    a.v += (0.001 * b.m * Math.sign(d)) / (d * d + 0.1);
                }
            for (const body of bodies) body.move(0.01);
        }
        return Math.round(bodies.reduce((sum, body) => sum + body.m * body.v * body.v, 0) * 1e6);
    },
    sort(n) {
        const next = random(7);
        const people = Array.from({ length: n }, (_, i) => ({ name: "n" + (next() % 5000), age: next() % 90, i }));
        people.sort((a, b) => a.age - b.age || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) || a.i - b.i);
        return people.reduce((sum, person, place) => (Math.imul(sum, 31) + person.i * place) | 0, 0);
    },
    words(n) {
        const next = random(3);
        const counts = new Map();
        const text = Array.from({ length: n }, () => "w" + ((next() >>> 20) % 300)).join(" ");
        for (const word of text.split(/\s+/)) counts.set(word, (counts.get(word) ?? 0) + 1);
        const shouted = text.replace(/w(\d)(\d*)/g, (_, first, rest) => rest + first).length;
        return [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, 9).join().length + shouted;
    },
    closures(n) {
        const add = (x) => (y) => (x + y) | 0;
        const compose = (...fs) => (x) => fs.reduce((value, f) => f(value), x);
        const f = compose(add(3), (x) => Math.imul(x, 5), (x) => x ^ (x >>> 3));
        let x = 1;
        for (let i = 0; i < n; i++) x = f(x);
        return x;
    },
    json(n) {
        const data = Array.from({ length: n }, (_, i) => ({ id: i, tags: ["a" + (i % 7), "b"], nested: { half: i / 2, no: null } }));
        let text = JSON.stringify(data);
        for (let i = 0; i < 3; i++) text = JSON.stringify(JSON.parse(text));
        return text.length;
    },
    *permutations(items) {
        if (items.length < 2) yield items;
        else
            for (let i = 0; i < items.length; i++)
                for (const rest of jobs.permutations([...items.slice(0, i), ...items.slice(i + 1)])) yield [items[i], ...rest];
    },
    generators(n) {
        let sum = 0;
        for (const p of jobs.permutations([..."abcdefgh".slice(0, n)])) sum = (Math.imul(sum, 3) + p[0].charCodeAt(0)) | 0;
        return sum;
    },
    big(n) {
        let [a, b] = [0n, 1n];
        for (let i = 0; i < n; i++) [a, b] = [b, a + b];
        return Number(a % 1000000007n);
    },
};

function benchmark(scale) {
    const sizes = { sieve: 40000, bodies: 800, sort: 1500, words: 3000, closures: 15000, json: 300, big: 1500 };
    for (const [name, size] of Object.entries(sizes)) print(name, jobs[name](size * scale));
    print("generators", jobs.generators(scale > 1 ? 7 : 4));
}
