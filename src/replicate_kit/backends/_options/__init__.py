"""The options of httpx that a client may be given: what they say of TLS and proxies, for backends over any library."""
