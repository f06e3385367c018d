"""The HTTP face: what stands between a port and the server behind it."""
