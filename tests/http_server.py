"""What services of tests listen with."""

from http.server import ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Connections wait until they are taken. The standard library's five drop what comes sixth, and whoever
    connects then asks again a second later, and after three."""

    request_queue_size = 512
