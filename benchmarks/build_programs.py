"""Build the whole programs that are ours with the C compiler of PyPI `ziglang`, for WASI.

    python benchmarks/build_programs.py [NAMES...]      programs/NAME.c -> programs/NAME.wasm (these are checked in)

`sql` needs the amalgamation of SQLite, which is in the public domain; it is taken from the npm package better-sqlite3, by `npm pack`.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).resolve().parent / "programs"
NAMES: Final = ("compress", "json", "raytrace", "sql")
FLAGS: Final = [
    "--target=wasm32-wasi",
    # Scalar WebAssembly 2.0, for the C library too.
    "-mcpu=mvp+bulk_memory+multivalue+mutable_globals+nontrapping_fptoint+reference_types+sign_ext",
    "-O2",
    "-g0",
    "-ffp-contract=off",
    "-fno-sanitize=all",
]
WARNINGS: Final = ["-Wall", "-Wextra", "-Werror"]
SQLITE: Final = "better-sqlite3@12.11.1"  # has SQLite 3.53.2
SQLITE_FLAGS: Final = [
    "-DSQLITE_THREADSAFE=0",
    "-DSQLITE_OS_OTHER=1",  # no files
    "-DSQLITE_TEMP_STORE=3",
    "-DSQLITE_DEFAULT_MEMSTATUS=0",
    "-DSQLITE_OMIT_LOAD_EXTENSION",
    "-DSQLITE_OMIT_SHARED_CACHE",
    "-DSQLITE_OMIT_DEPRECATED",
    "-DSQLITE_OMIT_LOCALTIME",
]


def sqlite(directory: Path) -> Path:
    """Where sqlite3.c and sqlite3.h are, below `directory`."""
    subprocess.run(["npm", "pack", "--silent", SQLITE], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(directory.glob("*.tgz"))) as archive:
        archive.extractall(directory, filter="data")
    return directory / "package" / "deps" / "sqlite3"


def compile_c(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *FLAGS, *arguments], check=True)


def build(name: str) -> Path:
    source, output = str(PROGRAMS / f"{name}.c"), PROGRAMS / f"{name}.wasm"
    if name == "sql":
        with tempfile.TemporaryDirectory() as directory:
            library = sqlite(Path(directory))
            archive = f"{directory}/sqlite3.o"
            compile_c([*SQLITE_FLAGS, "-c", str(library / "sqlite3.c"), "-o", archive])
            compile_c([*WARNINGS, f"-I{library}", source, archive, "-lm", "-o", str(output)])
    else:
        compile_c([*WARNINGS, source, "-lm", "-o", str(output)])
    # The C library brings debugging sections; function names stay, for profiles and listings.
    subprocess.run(["wasm-tools", "strip", str(output), "-o", str(output)], check=True)
    return output


def main() -> None:
    for name in sys.argv[1:] or NAMES:
        output = build(name)
        print(f"{output.name}  {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
