"""Measurements of Parley against bare counterparts, as ratios in one run: `make bench`."""
