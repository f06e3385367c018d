"""The command `parley`: reads the environment, wires the parts together, runs them."""
