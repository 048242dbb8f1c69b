"""Parts of the benchmark of failing tools: tool_faults.py."""
