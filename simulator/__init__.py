"""A loopback stand-in for the four upstreams; everything it answers is simulated."""
