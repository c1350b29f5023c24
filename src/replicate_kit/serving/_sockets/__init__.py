"""Sockets of this machine: opened, read, written to, closed."""
