"""Run a benchmark by its name: `python -m benchmarks quota --quick`."""

import importlib
import sys
from typing import Final

BENCHMARKS: Final = {
    "quota": "rate limiters against a model of Intercom's server, on a virtual clock",
}
"""Modules of this package with a `main(arguments)`, and what each measures."""


def main(arguments: list[str]) -> int:
    """Run the benchmark named first, with the other arguments; return its exit status."""
    if not arguments or arguments[0] not in BENCHMARKS:
        print("usage: python -m benchmarks NAME [options]; NAME --help shows the options\n")
        for name, text in BENCHMARKS.items():
            print(f"  {name:10} {text}")
        return 0 if arguments and arguments[0] in {"-h", "--help"} else 2
    benchmark = importlib.import_module(f"benchmarks.{arguments[0]}")
    return int(benchmark.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
