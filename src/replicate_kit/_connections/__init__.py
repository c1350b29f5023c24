"""Connections of httpx's: pools, addresses that may be reached, TLS, proxies, and answers that end. It knows nothing of
the API.
"""
