"""Sipyard: SIP Express Router anew."""

__version__ = "0.1.0"
