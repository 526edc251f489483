// The end of peer.py's pipe that runs code in Node; see worker.py.
//
//     node FLAGS worker.mjs                answer requests, until standard input ends
//     node worker.mjs --once JOB           do one job, tell processor time since the process began and peak memory
import { closeSync, openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

function processorTime() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
}

// WASI is loaded when it is needed: not for kernels.
let WASI;
let compiled, exported;

function load({ file }) {
    const bytes = readFileSync(file);
    const start = processorTime();
    compiled = new WebAssembly.Module(bytes);
    exported = undefined;
    return { seconds: processorTime() - start, bytes: null };
}

function call({ n }) {
    exported ??= new WebAssembly.Instance(compiled).exports.run;
    const start = processorTime();
    const result = exported(n) >>> 0;
    return { seconds: processorTime() - start, result };
}

function startReactor(exports, argv) {
    const copy = (bytes) => {
        const address = exports.malloc(bytes.length);
        new Uint8Array(exports.memory.buffer).set(bytes, address);
        return address;
    };
    const addresses = argv.map((argument) => copy(new TextEncoder().encode(argument + "\0")));
    return exports.qjs_init_argv(argv.length, copy(new Uint8Array(new Uint32Array([...addresses, 0]).buffer)));
}

async function run({ argv, stdout, directory, reactor }) {
    WASI ??= (await import("node:wasi")).WASI;
    const file = openSync(stdout, "w");
    try {
        const wasi = new WASI({ version: "preview1", args: argv, stdout: file, preopens: { "/": directory }, returnOnExit: true });
        const instance = new WebAssembly.Instance(compiled, wasi.getImportObject());
        const start = processorTime();
        let status = 0;
        if (reactor) {
            wasi.initialize(instance);
            status = startReactor(instance.exports, argv);
        } else {
            status = wasi.start(instance) ?? 0;
        }
        const seconds = processorTime() - start;
        if (status) throw new Error(`exit status ${status}`);
        return { seconds };
    } finally {
        closeSync(file);
    }
}

const operations = { load, call, run };

async function answer(line) {
    try {
        const { op, ...request } = JSON.parse(line);
        return await operations[op](request);
    } catch (error) {
        return { error: String(error) };
    }
}

if (process.argv[2] === "--once") {
    const job = JSON.parse(process.argv[3]);
    load({ file: job.wasm });
    await run(job);
    const seconds = processorTime();
    const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
    console.log(JSON.stringify({ seconds, peak }));
} else {
    for await (const line of createInterface({ input: process.stdin })) process.stdout.write(JSON.stringify(await answer(line)) + "\n");
}
