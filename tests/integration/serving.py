"""A server of Python's own library on a thread, for as long as a with statement lasts."""

import threading


class Served:
    """For inheriting: its maker calls serve() with a server that is bound already."""

    def serve(self, server):
        self._server = server
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
