"""SIP vocabulary in Python: what decisions need beyond the native message."""
