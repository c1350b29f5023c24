"""The door's two types and their parts: URLs, headers, bodies, requests and responses, and how much of an answer is
read. No I/O: a backend sends what these say.
"""
