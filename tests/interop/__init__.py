"""Calls with programs that nobody here wrote: sipp, baresip, sipsak, Kamailio."""
