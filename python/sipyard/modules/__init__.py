"""SER's modules under their own names; each is found by its name (`sipyard.registry`)."""
