"""The HTTP API of the service: requests in, answers out, in the words it was recorded with."""
