"""Local servers that speak the hosted vendors' own protocols, and can fail as those do: for tests, benchmarks, and trying
the hosted configuration without keys."""
