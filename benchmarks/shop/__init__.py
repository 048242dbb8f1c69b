"""Parts of the benchmarks on the demo shop: evil_model.py and tool_faults.py."""
