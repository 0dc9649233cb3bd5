"""What the package's parts cost in time and memory, beside the libraries that do the same: `make bench`.

Everything runs in one process on one thread, ours and the peers' in turns on the same inputs. A benchmark is
one `Case` in `benchmarks/cases/`; what it is compared with is in `benchmarks/peers/`.
"""
