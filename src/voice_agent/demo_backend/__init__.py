"""A shop's order system of our own, behind HTTP: what the platform's tools talk to where no real one is connected."""
