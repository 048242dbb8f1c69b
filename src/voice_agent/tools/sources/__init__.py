"""Where tools come from beside the built-in ones: Python functions, HTTP endpoints, MCP servers."""
