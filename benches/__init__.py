"""`make bench`: Sipyard beside Kamailio, on the same machine, in the same run."""
