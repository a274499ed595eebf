"""Sipyard: SIP Express Router anew."""
