"""Sound without a browser: files in, files out, for the command line, bots and tests.

Never part of a node's process: what others send is decoded here, so that a fault in a decoder
is not a fault in the process that has the keys.
"""
