"""Sipyard: SIP Express Router anew.

PYTEST_DONT_REWRITE: the package may be imported before pytest, as coverage.py does for its plugin.
"""

__version__ = "0.1.0"
