"""httpx, or its successor httpx2, behind the door: pools of connections, addresses that may be reached, TLS, proxies,
and what their errors mean. The one place that knows these libraries.
"""
