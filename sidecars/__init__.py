"""Services beside the gateway, each a process of its own on a unix socket.

common/   who asks, errors in the API's shape, serving on a socket
ledger/   the usage API

They know nothing of the gateway but what it tells them in headers (`common/identity.py`), and
believe it: nobody else reaches their sockets.
"""
