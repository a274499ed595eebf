"""RADIUS (RFC 2865, 2866): a client that waits without blocking, and the attributes of SIP.

Packets are pyrad's; when to send them, where to and what to believe is decided here.
"""

from sipyard.radius.client import Attributes, RadiusClient, RadiusError
from sipyard.radius.settings import RadiusServer, RadiusSettings, read_settings
from sipyard.radius.vocabulary import dictionary, digest_attributes

__all__ = [
    "Attributes",
    "RadiusClient",
    "RadiusError",
    "RadiusServer",
    "RadiusSettings",
    "dictionary",
    "digest_attributes",
    "read_settings",
]
