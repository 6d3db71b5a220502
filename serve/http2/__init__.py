"""HTTP/2 connections: frames, header compression and flow control, within bounds.

Source: RFC 9113 (2022) and RFC 7541 (2015).
"""
