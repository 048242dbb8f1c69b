"""Parts of the benchmarks of hosted providers: hosted_faults.py, hosted_overhead.py."""
